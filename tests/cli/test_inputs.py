"""Which images a command works on, and the names of their results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_hemacells.cli.inputs import find_images, name_results
from napari_hemacells.cli.read_cells import read_boxes, read_cells
from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.image import read_image
from napari_hemacells.core.image.labels import read_labels
from napari_hemacells.core.types import SmearImage


def _touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_folders_and_patterns_stand_for_images_each_once(tmp_path: Path) -> None:
    _touch(tmp_path, "b.png", "a.JPG", "notes.txt", "a.labels.tif", "a.overlay.png", "a.cells.csv")
    _touch(tmp_path, "._b.png", ".DS_Store", "Thumbs.db", "counts.csv", "overlay.png", ".x.png")
    found = find_images([str(tmp_path), str(tmp_path / "*.png"), str(tmp_path / "b.png")])
    assert [path.name for path in found] == ["a.JPG", "b.png"]


def test_a_pattern_reaches_sub_folders(tmp_path: Path) -> None:
    _touch(tmp_path / "deep" / "er", "x.tif")
    assert find_images([str(tmp_path / "**" / "*.tif")]) == [tmp_path / "deep" / "er" / "x.tif"]


def test_ome_zarr_folders_are_images(tmp_path: Path) -> None:
    _touch(tmp_path / "b.ome.zarr" / "0", "c.tif", ".zarray")
    _touch(tmp_path / "b.ome.zarr", ".zgroup")
    _touch(tmp_path / "plate", "zarr.json")
    _touch(tmp_path, "a.tif")
    found = [tmp_path / "a.tif", tmp_path / "b.ome.zarr"]
    assert find_images([str(tmp_path)]) == found
    assert find_images([str(tmp_path / "*.zarr"), str(tmp_path / "b.ome.zarr")]) == found[1:]
    assert find_images([str(tmp_path / "plate")]) == [tmp_path / "plate"]
    assert find_images([str(tmp_path / "**" / "*.tif")]) == found[:1]
    assert [source.name for source in name_results(found)] == ["a", "b"]


def test_what_does_not_exist_stays_to_be_told(tmp_path: Path) -> None:
    missing = [str(tmp_path / "none.png"), str(tmp_path / "*.tif")]
    assert find_images(missing) == [Path(text) for text in missing]


def test_results_of_one_stem_never_share_a_name() -> None:
    paths = [Path("s1/f.png"), Path("s2/f.png"), Path("s2/F.tif"), Path("s2/g.png")]
    names = [source.name for source in name_results(paths)]
    assert names == ["s1_f", "s2_f", "s2_F_2", "g"]
    assert len({name.casefold() for name in names}) == 4


def test_a_number_never_hits_another_image_s_name() -> None:
    paths = [Path("s/f.png"), Path("s/f.tif"), Path("s/s_f_2.png")]
    names = [source.name for source in name_results(paths)]
    assert len(set(names)) == 3


@pytest.mark.parametrize("suffix", [".tif", ".png", ".npy"])
def test_labels_are_read_as_written(tmp_path: Path, suffix: str) -> None:
    labels = np.array([[0, 3], [7, 7]], dtype=np.uint16)
    path = tmp_path / f"own{suffix}"
    if suffix == ".npy":
        np.save(path, labels)
    elif suffix == ".tif":
        import tifffile

        tifffile.imwrite(path, labels)
    else:
        from PIL import Image

        Image.fromarray(labels).save(path)
    assert read_labels(path).tolist() == labels.tolist()


def test_a_photograph_is_no_label_image(tmp_path: Path) -> None:
    np.save(tmp_path / "photo.npy", np.zeros((4, 4, 3), np.uint8))
    np.save(tmp_path / "float.npy", np.zeros((4, 4)))
    (tmp_path / "broken.tif").write_bytes(b"no tiff")
    for name in ("photo.npy", "float.npy", "broken.tif", "missing.png"):
        with pytest.raises(CellsError, match=name):
            read_labels(tmp_path / name)


def test_boxes_come_with_their_classes(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text("class,min_row,min_col,max_row,max_col\nRBC,1,2,3,4\n,5,6,7,8\n")
    boxes, classes, labels = read_boxes(path)
    assert labels is None
    assert boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert classes == ["RBC", ""]


def test_a_table_without_boxes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("x,y\n1,2\n")
    with pytest.raises(CellsError, match="min_row"):
        read_boxes(path)


CELLS = (
    "label;class;min_row;min_col;max_row;max_col\n"
    "9;NA;0;0;10;10\n3;01;20;20;30;30\n7;None;0;20;9;31\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_classes_and_labels_of_a_table_are_kept_as_they_are(
    tmp_path: Path, encoding: str, separator: str
) -> None:
    path = tmp_path / "boxes.csv"
    path.write_bytes(CELLS.replace(";", separator).encode(encoding))
    _, classes, labels = read_boxes(path)
    assert classes == ["NA", "01", "None"]
    assert labels == [9, 3, 7]
    cells = read_cells(path, "", SmearImage(np.zeros((40, 40, 3), np.uint8), "k", "n"))
    assert cells.ids.tolist() == [3, 7, 9]
    assert cells.table["class"].tolist() == ["01", "None", "NA"]
    assert cells.boxes.tolist() == [[20, 20, 30, 30], [0, 20, 9, 31], [0, 0, 10, 10]]
    assert [cells.labels[row, col] for row, col in ((25, 25), (4, 25), (5, 5), (15, 15))] == [
        3, 7, 9, 0,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("3,RBC,1,2,3", "line 3: max_col is missing"),
        ("3,RBC,1,,3,4", "line 3: min_col is missing"),
        ("3,RBC,1,x,3,4", "line 3: min_col is “x”"), ("3,RBC,1,nan,3,4", "min_col is nan"),
        ("9,RBC,1,2,3,4", "two cells with the label 9"), ("0.5,RBC,1,2,3,4", "from 1 on"),
        ("3,RBC,1,2,3,4,5", "line 3 has 7 cells"),
    ],
)  # fmt: skip
def test_an_incomplete_row_is_named(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(f"label,class,min_row,min_col,max_row,max_col\n9,NA,0,0,10,10\n{row}\n")
    with pytest.raises(CellsError, match=said):
        read_boxes(path)


def test_boxes_beyond_the_image_are_another_image_s(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text("min_row,min_col,max_row,max_col\n100,100,110,110\n")
    with pytest.raises(CellsError, match="All 1 boxes lie beyond the image"):
        read_cells(path, "", SmearImage(np.zeros((40, 40, 3), np.uint8), "k", "n"))


@pytest.mark.parametrize(
    "ending", ["png", "jpg", "jfif", "bmp", "gif", "webp", "jp2", "ppm", "tif"]
)
def test_a_folder_stands_for_every_kind_of_picture_that_is_read(tmp_path, ending) -> None:
    kinds = {"jfif": "JPEG", "jpg": "JPEG", "jp2": "JPEG2000", "tif": "TIFF"}
    file = tmp_path / f"field.{ending}"
    picture = Image.fromarray(np.full((20, 30, 3), 200, np.uint8))
    picture.save(file, kinds.get(ending, ending.upper()))
    assert [source.path for source in name_results(find_images([str(tmp_path)]))] == [file]
    assert read_image(file).shape == (20, 30)
