from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_up import make_cells, make_image
from napari_hemacells.core.annotate import SetLabels, open_history
from napari_hemacells.core.errors import CellsError, TrainingError
from napari_hemacells.core.evaluate.detection_metrics import Boxes
from napari_hemacells.core.store import Project
from napari_hemacells.core.train.detector.dataset import (
    UNKNOWN,
    field_of_boxes,
    field_of_cells,
    load_fields,
    save_fields,
)
from napari_hemacells.core.train.detector.project_dataset import (
    find_corrected_images,
    load_project_fields_steps,
)
from napari_hemacells.core.types import CellRef, Groups
from napari_hemacells.core.types.progress import run_to_end


def test_field_of_corrected_cells_takes_them_as_complete() -> None:
    image, cells = make_image(), make_cells(10)
    field = field_of_cells(image, cells, {2: "Platelet", 3: "neutrophil"})
    assert field.kinds.tolist() == [0, 2, 0, 0, 0, 0, 0, 0, 0, 0]  # a neutrophil is no kind
    assert field.boxes.tolist() == cells.boxes.tolist()
    assert (field.trust == 255).all()
    assert ((field.foreground == 255) == (cells.labels > 0)).all()
    assert field.diameter == 6.0
    assert (field.key, field.group) == (image.key, f"image/{image.key}")


def test_cell_of_unknown_kind_says_nothing_about_its_place() -> None:
    cells = make_cells(6)
    kinds = ["RBC", "", "odd", "WBC", "Platelets", "RBC"]
    cells = replace(cells, table=cells.table.assign(**{"class": kinds}))
    field = field_of_cells(make_image(), cells)
    assert field.kinds.tolist() == [0, UNKNOWN, UNKNOWN, 1, 2, 0]
    assert (field.trust[0:6, 8:22] == 0)[:, :6].all()
    assert (field.trust[0:6, 0:8] == 255).all()


def test_fields_come_back_from_disk_in_their_order(tmp_path) -> None:
    image = replace(make_image(), groups=Groups(slide="s1"))
    fields = [field_of_cells(image, make_cells(n)) for n in (3, 7)]
    save_fields(tmp_path, fields)
    again = load_fields(tmp_path)
    assert [len(field.boxes) for field in again] == [3, 7]
    assert again[0].group == "slide//s1"
    assert (again[1].pixels == image.pixels).all()
    (tmp_path / "00001.npz").write_bytes(b"torn")
    with pytest.raises(TrainingError, match="damaged"):
        load_fields(tmp_path)


def test_part_of_a_field_moves_its_boxes_and_keeps_cut_ones() -> None:
    field = field_of_cells(make_image(), make_cells(16))
    part = field.part((4, 8, 20, 30))
    assert part.pixels.shape == (16, 22, 3)
    assert part.boxes[0].tolist() == [-4, 0, 2, 6]
    assert len(part.boxes) == 6  # three columns of cells, two rows


def test_empty_field_and_boxes_without_area_are_refused() -> None:
    with pytest.raises(CellsError, match="no cells"):
        field_of_cells(make_image(), make_cells(0))
    flat = Boxes(np.array([[3.0, 3, 3, 9]]), np.array(["RBC"]), np.ones(1))
    with pytest.raises(CellsError, match="no cells"):
        field_of_boxes(make_image(), flat, 6.0)


def test_project_teaches_with_the_images_that_were_worked_on(tmp_path) -> None:
    project = Project.create(tmp_path / "project")
    images = [make_image(seed, f"field {seed}") for seed in range(2)]
    for image in images:
        project.add_image(image)
        project.save_cells(image.key, make_cells(8))
    history = open_history(project.journal_path, "ann")
    place = ((CellRef(images[0].key, 2), 2.5, 10.5),)
    history.do(SetLabels(place, history.state.palette.by_name("Platelets").id, "ann"))
    lessons = find_corrected_images(project, history.state)
    assert lessons.images == (images[0].key,)
    assert (lessons.untouched, lessons.corrected) == (("field 1",), 1)
    opened = {image.key: image for image in images}
    gathered = run_to_end(load_project_fields_steps(project, history.state, opened))
    history.close()
    assert [field.name for field in gathered.fields] == ["field 0"]
    assert gathered.fields[0].kinds.tolist() == [0, 2, 0, 0, 0, 0, 0, 0]
    assert "field 1" in gathered.left_out[0]


def test_project_without_any_work_says_what_to_do(tmp_path) -> None:
    project = Project.create(tmp_path / "project")
    with pytest.raises(TrainingError, match="go through an image"):
        run_to_end(load_project_fields_steps(project))
