"""New cells are merged and saved in a thread; what is done meanwhile is not lost."""

from __future__ import annotations

from made_up import make_cells, make_image
from napari_hemacells.session import keep_cells


def test_cells_kept_in_a_thread_are_saved_and_keep_what_is_annotated(session, image):
    session.annotate([4], session.palette.ids[0])
    centre = session.cells.centres[session.cells.position[4]].tolist()
    request = session.cells_request(make_cells(12))
    session.put_kept(request, keep_cells(request))
    assert len(session.cells) == 12
    assert session.cells.centres[session.cells.position[4]].tolist() == centre
    assert session.annotated == {4: session.palette.ids[0]}
    assert session.project.load_cells(image.key).table.equals(session.cells.table)


def test_an_annotation_made_meanwhile_keeps_its_cell(session):
    request = session.cells_request(make_cells(3))
    kept = keep_cells(request)
    last = int(session.cells.ids[-1])
    session.annotate([last], session.palette.ids[0])
    session.put_kept(request, kept)
    assert last in session.cells.position
    assert session.annotated == {last: session.palette.ids[0]}


def test_cells_of_an_image_that_is_left_are_saved_and_not_shown(session, image):
    request = session.cells_request(make_cells(5))
    kept = keep_cells(request)
    session.show_image(make_image(3, "another"))
    session.put_kept(request, kept)
    assert session.cells is None
    session.show_image(image)
    assert len(session.cells) == 5


def test_cells_that_were_read_before_are_shown(session, image):
    read = session.project.load_cells(image.key)
    session.show_image(make_image(3, "another"))
    session.show_image(image, read)
    assert session.cells is read
