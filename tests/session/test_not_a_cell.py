"""The standing class *Not a cell*: at hand, in no count, remembered for later projects."""

from __future__ import annotations

import numpy as np
import pytest

from made_up import INFO, SPEC, make_embeddings
from napari_hemacells.core.store import Project
from napari_hemacells.core.store import not_a_cell_memory as memory
from napari_hemacells.core.store.class_counts import count_classes
from napari_hemacells.core.store.tables import cells_table, counts_table
from napari_hemacells.core.types import NOT_A_CELL, NOT_A_CELL_ID, UNKNOWN
from napari_hemacells.session import run_classification


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Nothing is written into the user's own folder."""
    folder = tmp_path / "data" / "not_a_cell"
    monkeypatch.setattr(memory, "memory_folder", lambda: folder)
    return folder


def classify(session) -> None:
    request = session.request()
    assert request is not None
    assert session.accept(run_classification(request))


def test_the_class_joins_the_palette_with_its_first_cell_and_undo_takes_it_back(session) -> None:
    assert NOT_A_CELL_ID not in session.palette
    session.mark_not_a_cell([3, 6])
    assert session.annotated == {3: NOT_A_CELL_ID, 6: NOT_A_CELL_ID}
    assert session.palette.by_id(NOT_A_CELL_ID).key is None
    session.undo()
    assert session.annotated == {}
    session.undo()
    assert NOT_A_CELL_ID not in session.palette


def test_it_is_in_no_count_and_no_share(session, image, cells) -> None:
    session.annotate([1, 2], "rbc")
    session.mark_not_a_cell([3, 6, 9])
    table = cells_table(image, cells, session.annotations, None, session.palette)
    sums = counts_table(table, session.palette).set_index("class")
    assert sums.loc[NOT_A_CELL, "annotated"] == 3
    assert sums.loc["Total", "annotated"] == 2
    assert sums.loc["Total", "total"] == len(cells) - 3
    counts = count_classes(["RBC", "RBC", NOT_A_CELL, "WBC"], ["RBC", "WBC", NOT_A_CELL])
    assert (counts.cells, counts.not_cells) == (3, 1)
    assert [entry.name for entry in counts.classes] == ["RBC", "WBC"]
    assert counts.classes[0].share == pytest.approx(2 / 3)
    assert (NOT_A_CELL, 1) in counts.rows()


def test_what_was_no_cell_teaches_the_next_project(session, image, cells, new_session, tmp_path):
    session.mark_not_a_cell([3, 6, 9, 12])
    session.close()
    assert len(memory.remembered(INFO, SPEC)) == 4
    later = new_session(Project.create(tmp_path / "later"))
    later.show_image(image)
    later.set_cells(cells)
    assert later.set_embeddings(make_embeddings(image, cells))
    later.annotate([1, 4], "rbc")
    later.annotate([2, 5], "wbc")
    assert len(later.support()) == 4  # nothing is taught before the class is used
    later.mark_not_a_cell([15])
    assert len(later.support()) == 9
    classify(later)
    shown = dict(zip(cells.ids.tolist(), later.known_classes, strict=True))
    assert {shown[cell] for cell in range(18, 31, 3)} <= {NOT_A_CELL_ID, UNKNOWN}
    assert later.make_bundle("model").labels.count(NOT_A_CELL_ID) == 5


def test_the_memory_is_bounded_by_encoder_and_can_be_forgotten(own_folder) -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(size=(5, INFO.dim)).astype(np.float32)
    assert memory.remember(INFO, SPEC, first) == 5
    assert memory.remember(INFO, SPEC, first) == 0  # the same again
    many = rng.normal(size=(memory.MOST_KEPT, INFO.dim)).astype(np.float32)
    memory.remember(INFO, SPEC, many)
    kept = memory.remembered(INFO, SPEC)
    assert len(kept) == memory.MOST_KEPT
    np.testing.assert_allclose(kept[-1], many[-1], atol=1e-2)
    assert len(memory.teaching(INFO, SPEC)) <= memory.MOST_USED
    other = type(INFO)("other", "1" * 64, INFO.dim)
    assert len(memory.remembered(other, SPEC)) == 0
    assert memory.forget() == 1
    assert len(memory.remembered(INFO, SPEC)) == 0


def test_a_damaged_memory_is_as_good_as_none(own_folder) -> None:
    memory.remember(INFO, SPEC, np.ones((1, INFO.dim), np.float32))
    memory.memory_file(INFO, SPEC).write_bytes(b"rubbish")
    assert len(memory.remembered(INFO, SPEC)) == 0
    assert memory.remember(INFO, SPEC, np.ones((1, INFO.dim), np.float32)) == 1
