"""Crops around points: the border, cells that are not there, the split, and hostile tables."""

from __future__ import annotations

import contextlib
import csv
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_hemacells import api
from napari_hemacells.core.crop import crop_around_points, nothing_near
from napari_hemacells.core.detect import cells_from_boxes
from napari_hemacells.core.errors import CellsError, StorageError
from napari_hemacells.core.params import PointCropParams
from napari_hemacells.core.store.point_crops import (
    AT_BORDER,
    NO_CELL,
    OUTSIDE,
    TABLE,
    split_groups,
    write_point_crops_steps,
)
from napari_hemacells.core.store.point_sources import (
    ImagePoints,
    images_of_folder,
    read_annotated_points,
    read_point_table,
)
from napari_hemacells.core.train.classifier.dataset import read_examples
from napari_hemacells.core.types import SmearImage
from napari_hemacells.core.types.progress import run_to_end

ROWS, COLUMNS = 60, 80
PIXELS = np.random.default_rng(0).integers(0, 255, (ROWS, COLUMNS, 3)).astype(np.uint8)
IMAGE = SmearImage(PIXELS, "field", "x")


@given(
    row=st.integers(0, ROWS - 1), column=st.integers(0, COLUMNS - 1), size=st.integers(1, 60),
    border=st.sampled_from(["pad", "shift", "reject"]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_crop_is_the_pixels_around_its_point(row, column, size, border):
    cut = crop_around_points(IMAGE, np.array([[row, column]]), size, border=border)
    top, left = row - size // 2, column - size // 2
    beyond = top < 0 or left < 0 or top + size > ROWS or left + size > COLUMNS
    assert cut.beyond.tolist() == [beyond]
    if border == "reject" and beyond:
        assert not len(cut.points)
        return
    if border == "shift":
        top, left = min(max(top, 0), ROWS - size), min(max(left, 0), COLUMNS - size)
        np.testing.assert_array_equal(cut.pixels[0], PIXELS[top : top + size, left : left + size])
    else:
        mirrored = np.pad(PIXELS, ((60, 60), (60, 60), (0, 0)), mode="symmetric")
        expected = mirrored[top + 60 : top + 60 + size, left + 60 : left + 60 + size]
        np.testing.assert_array_equal(cut.pixels[0], expected)


def test_enlarging_shows_a_part_of_the_size():
    ramp = np.repeat(np.arange(ROWS, dtype=np.uint8)[:, None] * 4, COLUMNS, axis=1)
    image = SmearImage(np.stack([ramp] * 3, axis=-1), "ramp", "x")
    large = crop_around_points(image, np.array([[30, 40]]), 90, enlarge=3).pixels[0]
    assert large.shape == (90, 90, 3)
    middle = large[:, 45, 0].astype(float)
    # 90 px show 30 rows around row 30: 15.5 to 45.5 of the middles of pixels
    assert middle[44:46].mean() == pytest.approx(4 * 30, abs=1.5)
    assert np.diff(middle[5:85]).mean() == pytest.approx(4 / 3, abs=0.05)


def test_shift_gives_nothing_where_the_image_is_smaller():
    cut = crop_around_points(IMAGE, np.array([[30, 40]]), 61, border="shift")
    assert not len(cut.points)
    assert cut.beyond.all()


@pytest.mark.parametrize("point", [(-1, 5), (60, 5), (np.nan, 5), (5, np.inf)])
def test_a_point_outside_is_refused(point):
    with pytest.raises(CellsError, match="outside"):
        crop_around_points(IMAGE, np.array([point]), 20)


def test_a_point_is_near_a_box_or_not():
    cells = cells_from_boxes(np.array([[10, 10, 20, 20]]), IMAGE.shape)
    points = np.array([[15, 15], [15, 22], [15, 24]])
    assert nothing_near(points, cells, 3.0).tolist() == [False, False, True]


def fields(folder, count=12, points=6):
    """Write fields with dark cells, and a table of their centres; one point shows glass."""
    folder.mkdir()
    random = np.random.default_rng(1)
    rows = []
    for number in range(count):
        pixels = np.full((ROWS, COLUMNS, 3), 220, np.uint8)
        for at in range(points):
            row, column = random.integers(0, ROWS), random.integers(0, COLUMNS)
            pixels[max(row - 4, 0) : row + 5, max(column - 4, 0) : column + 5] = (140, 60, 120)
            rows.append((f"f{number}.png", row, column, ("alive", "dead")[at % 2]))
        Image.fromarray(pixels).save(folder / f"f{number}.png")
    return rows


def write_points(file, rows, heading=("image", "row", "column", "class")):
    with file.open("w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(heading)
        lines.writerows(rows)
    return file


def cut(tmp_path, rows, *, out="out", sizes=(20, 30), **params):
    table = write_points(tmp_path / "points.csv", rows)
    found = read_point_table(table, images_of_folder(tmp_path / "images"))
    return run_to_end(
        write_point_crops_steps(
            found.images, tmp_path / out, sizes=sizes,
            params=PointCropParams(**{"check": "none", **params}), notes=found.notes,
        )
    )  # fmt: skip


def table_of(folder):
    with (folder / TABLE).open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_crops_are_class_folders_with_a_table_split_by_frame(tmp_path):
    rows = fields(tmp_path / "images")
    report = cut(tmp_path, rows)
    written = table_of(tmp_path / "out")
    assert len(written) == 2 * len(rows) == len(report.rows)
    parts = defaultdict(set)
    for row in written:
        parts[row["image"]].add(row["split"])
        picture = Image.open(tmp_path / "out" / row["crop"])
        assert picture.size == (int(row["size"]),) * 2
    assert {len(own) for own in parts.values()} == {1}
    assert set.union(*parts.values()) == {"train", "validation", "test"}
    examples = read_examples(tmp_path / "out/30px")
    assert examples.counts == {"alive": 36, "dead": 36}
    assert Counter(item.part for item in examples.items)["test"] == report.count(30, "test")
    assert {item.group for item in examples.items} == {f"f{n}.png" for n in range(12)}


def test_the_border_is_counted_and_rejected_points_stay_in_the_table(tmp_path):
    rows = fields(tmp_path / "images")
    report = cut(tmp_path, rows, border="reject")
    beyond = sum(not (15 <= row <= ROWS - 15 and 15 <= col <= COLUMNS - 15)
                 for _, row, col, _ in rows)  # fmt: skip
    assert report.at_border[30] == report.rejected(30) == beyond > 0
    assert report.count(30) == len(rows) - beyond
    without = [row for row in table_of(tmp_path / "out") if not row["crop"]]
    assert {row["set aside why"] for row in without} == {AT_BORDER}


def test_a_point_without_a_cell_is_set_aside_and_not_deleted(tmp_path):
    smear = api.synthetic_smear(seed=4, shape=(260, 340), diameter=24)
    pixels = smear.image.copy()
    pixels[:, :100] = pixels[cells_free(smear)]
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images/f0.png")
    cells = api.detect(api.open_image(pixels), method="classical")
    boxes = cells.boxes[cells.table["class"] == "RBC"]
    rows = [("f0", *((low + high) / 2), "RBC")
            for low, high in zip(boxes[:, :2], boxes[:, 2:], strict=True)]  # fmt: skip
    report = cut(
        tmp_path, [*rows, ("f0", 130, 40, "RBC")], check="classical", sizes=(40,),
        test=0, validation=0,
    )  # fmt: skip
    aside = [row for row in report.rows if row.why == NO_CELL]
    assert [(row.row, row.column) for row in aside] == [(130, 40)]
    assert aside[0].file.startswith("set aside/40px/RBC/")
    assert (tmp_path / "out" / aside[0].file).is_file()
    assert report.set_aside(40) == 1
    assert report.count(40) == len(boxes) > 5


def cells_free(smear):
    """Return the place of a pixel of glass."""
    return tuple(np.argwhere(smear.labels == 0)[0])


def test_equal_points_classes_and_images_keep_their_own_files(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a.png", "a.bmp", "A_2.png"):
        Image.fromarray(PIXELS).save(images / name)
    places = np.array([[30.0, 40.0], [30.0, 40.0]])
    points = [ImagePoints(images / name, name, places, ("RBC", "rbc"))
              for name in ("a.png", "a.bmp", "A_2.png")]  # fmt: skip
    report = run_to_end(
        write_point_crops_steps(
            points, tmp_path / "out", sizes=(20,), params=PointCropParams(check="none")
        )
    )
    files = [row.file.casefold() for row in report.rows]
    assert len(set(files)) == 6
    assert len(list((tmp_path / "out").rglob("*.png"))) == 6


@pytest.mark.parametrize(
    "name", ["../up", "/root", "con", "=1+1", "a\x00b", "x" * 300, "..", "a/b"]
)
def test_a_class_name_never_leaves_the_folder(tmp_path, name):
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(PIXELS).save(images / "f.png")
    points = [ImagePoints(images / "f.png", "f.png", np.array([[30.0, 40.0]]), (name,))]
    report = run_to_end(
        write_point_crops_steps(
            points, tmp_path / "out", sizes=(20,), params=PointCropParams(check="none")
        )
    )
    assert [path.parent.parent.parent for path in (tmp_path / "out").rglob("*.png")] == [
        tmp_path / "out"
    ]
    assert report.rows[0].label == name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "out"]


def test_a_folder_with_anything_in_it_is_left_as_it_is(tmp_path):
    rows = fields(tmp_path / "images", count=2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("mine")
    with pytest.raises(StorageError, match="not empty"):
        cut(tmp_path, rows)
    assert (tmp_path / "out/thesis.txt").read_text() == "mine"


def test_an_image_that_fails_is_left_out_and_named(tmp_path):
    rows = fields(tmp_path / "images", count=3)
    (tmp_path / "images/f1.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    rows = [*rows, ("f2.png", 500, 5, "alive")]
    report = cut(tmp_path, rows)
    assert {row.image for row in report.rows} == {"f0.png", "f2.png"}
    outside = [row for row in report.rows if row.why == OUTSIDE]
    assert {(row.row, row.file) for row in outside} == {(500, "")}
    assert "f2.png: 1 of its points lie outside of it and have no crop." in report.notes
    assert [note.split()[0] for note in report.notes if "left out" in note] == ["f1.png"]
    report = cut(tmp_path, [rows[0], ("f2.png", 500, 5, "alive")], out="other")
    assert [note.split()[0] for note in report.notes if "left out" in note] == ["f2.png"]


def test_nothing_is_left_where_no_crop_could_be_made(tmp_path):
    rows = fields(tmp_path / "images", count=1)
    (tmp_path / "images/f0.png").write_bytes(b"no picture")
    with pytest.raises(CellsError, match="No crop"):
        cut(tmp_path, rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "points.csv"]


def test_points_without_a_single_class_are_cells(tmp_path):
    fields(tmp_path / "images", count=1)
    table = write_points(tmp_path / "p.csv", [("f0", 5, 6, ""), ("f0", 7, 8, "")])
    found = read_point_table(table, images_of_folder(tmp_path / "images"))
    assert found.images[0].classes == ("cell", "cell")


def test_a_table_of_consensus_states_gives_words(tmp_path):
    fields(tmp_path / "images", count=1)
    table = write_points(
        tmp_path / "p.csv", [("f0", 5, 6, "1.0"), ("f0", 7, 8, "0"), ("f0", 9, 9, "0.5")],
        ("Frame", "Y", "X", "state"),
    )  # fmt: skip
    found = read_point_table(table, images_of_folder(tmp_path / "images"))
    assert found.images[0].classes == ("alive", "dead", "not sure")
    assert found.images[0].positions.tolist() == [[5, 6], [7, 8], [9, 9]]


@pytest.mark.parametrize(
    ("rows", "heading", "words"),
    [
        ([("f0", 1, 2)], ("image", "row", "column"), "no column “class”"),
        ([("f0", "a", 2, "x")], None, "line 2: “a, 2” is no row and column"),
        ([("f0", "nan", 2, "x")], None, "no row and column"),
        ([("f0", "1e300", 2, "x")], None, "no row and column"),
        ([("f9", 1, 2, "x")], None, "names the image “f9”: there is none"),
        ([("f0", 1, 2, "x"), ("f0", 3, 4, "")], None, "the class is missing"),
        ([("", 1, 2, "x")], None, "the image is missing"),
        ([("f0", 1, 2, "x"), ("f0.png", 3, 4, "x")], None, "in two ways"),
    ],
)
def test_a_table_of_another_form_is_refused_in_words(tmp_path, rows, heading, words):
    fields(tmp_path / "images", count=1)
    table = write_points(tmp_path / "p.csv", rows, heading or ("image", "row", "column", "class"))
    with pytest.raises(CellsError, match=words):
        read_point_table(table, images_of_folder(tmp_path / "images"))


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("any")
    (folder / "p.csv").write_bytes(data)
    with contextlib.suppress(CellsError):
        read_point_table(folder / "p.csv", [folder / "f0.png"])


def test_boxes_of_voc_are_cut_around_their_middle(tmp_path):
    fields(tmp_path / "images", count=1)
    (tmp_path / "voc").mkdir()
    (tmp_path / "voc/f0.xml").write_text(
        "<annotation><object><name>Dead Cell</name><bndbox><xmin>10</xmin><ymin>20</ymin>"
        "<xmax>30</xmax><ymax>30</ymax></bndbox></object></annotation>"
    )
    found = read_annotated_points(tmp_path / "voc", images_of_folder(tmp_path / "images"))
    assert found.images[0].positions.tolist() == [[24.5, 19.5]]
    assert found.images[0].classes == ("Dead Cell",)


def test_a_movie_stays_whole(tmp_path):
    rows = fields(tmp_path / "images")
    table = write_points(
        tmp_path / "p.csv", [(*row, f"movie {int(row[0][1:-4]) // 2}") for row in rows],
        ("image", "row", "column", "class", "movie"),
    )  # fmt: skip
    found = read_point_table(table, images_of_folder(tmp_path / "images"))
    report = run_to_end(
        write_point_crops_steps(
            found.images, tmp_path / "out", sizes=(20,), params=PointCropParams(check="none")
        )
    )
    parts = defaultdict(set)
    for row in report.rows:
        parts[row.group].add(row.part)
    assert len(parts) == 6
    assert {len(own) for own in parts.values()} == {1}


def test_a_split_is_as_asked_and_nothing_that_is_added_moves_it():
    names = [f"frame {number}" for number in range(2000)]
    few, many = split_groups(names[:1000]), split_groups(names)
    assert all(many[name] == part for name, part in few.items())
    shares = Counter(many.values())
    assert 0.77 < shares["train"] / 2000 < 0.83
    assert 0.08 < shares["test"] / 2000 < 0.12
    assert set(split_groups(["a", "b", "c"]).values()) == {"train", "validation", "test"}
    assert set(split_groups(["a"], validation=0.5, test=0.4).values()) <= {
        "train", "validation", "test"
    }  # fmt: skip


def test_the_api_does_what_the_command_does(tmp_path):
    rows = fields(tmp_path / "images")
    write_points(tmp_path / "p.csv", rows)
    report = api.write_point_crops(
        tmp_path / "p.csv", tmp_path / "out", images=tmp_path / "images", sizes=[24], check="none"
    )
    assert report.to_dict()["sizes"]["24"]["crops"] == len(rows)
