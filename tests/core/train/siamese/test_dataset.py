"""The annotated cells of a project, as a siamese network learns from them."""

import numpy as np
from PIL import Image

from napari_hemacells.core.annotate import AddClass, CellClass, SetLabels
from napari_hemacells.core.detect import cells_from_labels
from napari_hemacells.core.image import read_image
from napari_hemacells.core.store import Project
from napari_hemacells.core.train.siamese.dataset import (
    load_folder_cells_steps,
    load_project_cells_steps,
)
from napari_hemacells.core.types import CellRef
from napari_hemacells.core.types.progress import run_to_end


def test_the_annotated_cells_of_a_project_come_by_the_names_of_their_classes(tmp_path):
    pixels, labels = np.full((80, 120, 3), 230, np.uint8), np.zeros((80, 120), np.int32)
    for number in range(12):
        row, col = 4 + 26 * (number // 4), 4 + 26 * (number % 4)
        pixels[row : row + 16, col : col + 16] = (200, 20 * number, 90)
        labels[row : row + 16, col : col + 16] = number + 1
    Image.fromarray(pixels).save(tmp_path / "smear.png")
    image = read_image(tmp_path / "smear.png")
    project = Project.create(tmp_path / "project")
    project.add_image(image)
    project.save_cells(image.key, cells_from_labels(labels, (80, 120)))
    history = project.open_history("ann")
    history.do(AddClass(CellClass("blast", "Blast cell", "#123456")))
    for cell in (2, 5, 9):
        history.do(SetLabels(((CellRef(image.key, cell), 9.0, 9.0),), "blast", "ann"))
    history.close()
    cells = run_to_end(load_project_cells_steps(project))
    assert cells.labels == ("Blast cell",) * 3
    assert cells.crops.shape == (3, 128, 128, 3)
    assert cells.crops[:, 64, 64, 1].tolist() == [20, 80, 160]


def test_all_pictures_of_class_folders_are_learned_from(tmp_path):
    for name, count in (("a", 55), ("b", 3)):
        (tmp_path / name).mkdir()
        for number in range(count):
            pixels = np.full((20, 20, 3), 3 * number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    (tmp_path / "b" / "broken.png").write_bytes(b"no picture")
    cells = run_to_end(load_folder_cells_steps(tmp_path))
    assert cells.kinds == {"a": 55, "b": 3}
    assert "broken.png" in cells.notes[0]
