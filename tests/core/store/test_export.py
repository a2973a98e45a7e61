from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from napari_hemacells.core.annotate import Palette
from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.store.cells_file import write_csv
from napari_hemacells.core.store.export import (
    ClassifiedImage,
    polygons,
    to_coco,
    write_coco,
    write_crops,
    write_labels_tif,
)
from napari_hemacells.core.store.tables import (
    cells_table,
    counts_table,
    detected_table,
    shown_classes,
)
from napari_hemacells.core.types import CELL_COLUMNS, UNKNOWN

EXTRA = ["annotated", "predicted", "confidence", "p_RBC", "p_WBC", "p_Platelets"]


@pytest.fixture
def table(image, cells, annotations, prediction, palette):
    return cells_table(image, cells, annotations, prediction, palette)


def test_detected_table_has_exactly_the_columns(cells):
    assert list(detected_table(cells)) == list(CELL_COLUMNS)


def test_cells_table_says_what_user_and_model_say(table):
    assert list(table) == ["image", *CELL_COLUMNS, *EXTRA]
    assert table["label"].tolist() == [2, 3, 7, 9]
    assert table["annotated"].tolist() == ["", "Platelets", "", ""]
    assert table["predicted"].tolist() == ["RBC", "RBC", "Platelets", "WBC"]
    assert table["class"].tolist() == ["RBC", "Platelets", "Platelets", "WBC"]
    np.testing.assert_allclose(table["confidence"], [0.8, 0.5, 0.5, 0.9], rtol=1e-6)
    np.testing.assert_allclose(table["p_Platelets"], [0.1, 0.2, 0.5, 0.0], rtol=1e-6)


def test_without_the_image_column(image, cells, annotations, prediction, palette):
    plain = cells_table(image, cells, annotations, prediction, palette, with_image=False)
    assert list(plain) == [*CELL_COLUMNS, *EXTRA]


def test_before_any_prediction_the_detectors_kind_is_shown(image, cells, annotations, palette):
    table = cells_table(image, cells, annotations, None, palette)
    assert table["class"].tolist() == ["RBC", "Platelets", "RBC", "WBC"]
    assert table["predicted"].tolist() == [""] * 4
    assert table["confidence"].isna().all()


def test_cells_that_the_prediction_does_not_cover(image, cells, prediction, palette):
    part = replace(
        prediction, ids=prediction.ids[[3, 0]], probabilities=prediction.probabilities[[3, 0]]
    )
    table = cells_table(image, cells, {}, part, palette)
    assert table["predicted"].tolist() == ["RBC", "", "", "WBC"]
    assert table["confidence"].isna().tolist() == [False, True, True, False]
    np.testing.assert_allclose(table["p_WBC"].to_numpy()[[0, 3]], [0.1, 0.9], rtol=1e-6)


def test_counts_add_up_and_no_cell_counts_twice(table, palette):
    counts = counts_table(table, palette)
    assert counts.to_numpy().tolist() == [
        ["RBC", 0, 1, 0, 1],
        ["WBC", 0, 1, 0, 1],
        ["Platelets", 1, 1, 0, 2],
        ["Total", 1, 3, 0, 4],
    ]


def test_cells_nobody_classified_count_as_the_kind_that_is_shown(
    image, cells, annotations, palette
):
    counts = counts_table(cells_table(image, cells, annotations, None, palette), palette)
    assert counts.to_numpy().tolist() == [
        ["RBC", 0, 0, 2, 2],
        ["WBC", 0, 0, 1, 1],
        ["Platelets", 1, 0, 0, 1],
        ["Total", 1, 0, 3, 4],
    ]
    others = Palette().add("ring stage").add("trophozoite")
    counts = counts_table(cells_table(image, cells, {}, None, others), others)
    assert counts.to_numpy().tolist()[-2:] == [["(no class)", 0, 0, 0, 4], ["Total", 0, 0, 0, 4]]


def test_a_csv_comes_back(tmp_path, table):
    write_csv(tmp_path / "new" / "field.cells.csv", table)
    back = pd.read_csv(tmp_path / "new" / "field.cells.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(back, table, check_dtype=False)


def test_a_failed_write_keeps_the_older_file(tmp_path, table, monkeypatch):
    path = tmp_path / "field.cells.csv"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_hemacells.core.files.fsio._sync_file", full)
    with pytest.raises(
        StorageError, match=r"“field.cells.csv” was not saved: the disk .* is full"
    ):
        write_csv(path, table)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_labels_come_back(tmp_path, cells):
    write_labels_tif(tmp_path / "field.labels.tif", cells)
    back = tifffile.imread(tmp_path / "field.labels.tif")
    assert back.dtype == np.int32
    np.testing.assert_array_equal(back, cells.labels)


def test_crops_lie_in_class_folders(
    tmp_path, image, cells, annotations, prediction, palette, spec
):
    shown = shown_classes(cells, annotations, prediction, palette)
    files = write_crops(tmp_path, image, cells, shown, palette=palette, spec=spec)
    assert [str(file.relative_to(tmp_path)) for file in files] == [
        "RBC/field-01234567-000002.png",
        "Platelets/field-01234567-000003.png",
        "Platelets/field-01234567-000007.png",
        "WBC/field-01234567-000009.png",
    ]
    assert Image.open(files[0]).size == (32, 32)


def test_class_names_become_names_of_folders(tmp_path, image, cells, spec):
    names = ["../../etc", "a/b", "a?b", "CON", " . "]
    palette = Palette()
    for name in names[:4]:
        palette = palette.add(name)
    shown = dict(zip(cells.ids.tolist(), palette.ids, strict=True))
    files = write_crops(tmp_path, image, cells, shown, palette=palette, spec=spec)
    assert [file.parent.name for file in files] == ["_.._etc", "a_b", "a_b-2", "CON_"]
    assert all(file.parent.parent == tmp_path for file in files)


def test_coco_has_boxes_areas_polygons_and_categories(
    tmp_path, image, cells, annotations, prediction, palette
):
    shown = shown_classes(cells, annotations, prediction, palette)
    write_coco(tmp_path / "coco.json", [ClassifiedImage(image, cells, shown)] * 2, palette)
    content = json.loads((tmp_path / "coco.json").read_text())
    assert [(c["id"], c["name"]) for c in content["categories"]] == [
        (1, "RBC"), (2, "WBC"), (3, "Platelets"),
    ]  # fmt: skip
    assert [(i["id"], i["width"], i["height"]) for i in content["images"]] == [
        (1, 60, 40), (2, 60, 40),
    ]  # fmt: skip
    assert [a["id"] for a in content["annotations"]] == list(range(1, 9))
    second = content["annotations"][1]
    assert second["bbox"] == [30, 5, 10, 10]
    assert (second["area"], second["category_id"], second["image_id"]) == (100, 3, 1)
    xs, ys = second["segmentation"][0][::2], second["segmentation"][0][1::2]
    assert (min(xs), max(xs), min(ys), max(ys)) == (30, 40, 5, 15)


def test_a_polygon_has_the_area_of_its_mask_and_no_hole():
    from skimage.draw import disk

    mask = np.zeros((60, 60), dtype=bool)
    mask[disk((30, 30), 20)] = True
    holed = mask.copy()
    holed[28:33, 28:33] = False
    (outline,) = polygons(holed, (100, 200))
    x, y = np.array(outline[::2]), np.array(outline[1::2])
    area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    assert area == pytest.approx(mask.sum(), rel=0.02)
    assert (x.mean(), y.mean()) == pytest.approx((230.5, 130.5), abs=0.5)


def test_cells_without_a_class_have_a_category_of_their_own(image, cells, palette):
    content = to_coco([ClassifiedImage(image, cells, {2: "rbc"})], palette)
    assert content["categories"][-1] == {"id": 4, "name": "(no class)", "supercategory": "cell"}
    assert [a["category_id"] for a in content["annotations"]] == [1, 4, 4, 4]


def test_a_cell_hidden_under_its_neighbours_keeps_its_box(image, cells, palette):
    cells.labels[cells.labels == 3] = 0
    content = to_coco([ClassifiedImage(image, cells, {})], palette)
    assert content["annotations"][1]["segmentation"] == [[30, 5, 40, 5, 40, 15, 30, 15]]


def test_everything_works_with_zero_cells(tmp_path, image, no_cells, no_prediction, palette, spec):
    for prediction in (None, no_prediction):
        table = cells_table(image, no_cells, {}, prediction, palette)
        assert len(table) == 0
        assert list(table)[: len(CELL_COLUMNS) + 1] == ["image", *CELL_COLUMNS]
        assert counts_table(table, palette).iloc[-1].tolist() == ["Total", 0, 0, 0, 0]
    assert list(table) == ["image", *CELL_COLUMNS, *EXTRA]
    write_csv(tmp_path / "cells.csv", table)
    assert (tmp_path / "cells.csv").read_text("utf-8-sig") == ",".join(table) + "\n"
    write_labels_tif(tmp_path / "labels.tif", no_cells)
    assert write_crops(tmp_path / "crops", image, no_cells, {}, palette=palette, spec=spec) == []
    assert sorted(f.name for f in (tmp_path / "crops").iterdir()) == ["Platelets", "RBC", "WBC"]
    assert to_coco([ClassifiedImage(image, no_cells, {})], palette)["annotations"] == []


@pytest.fixture
def with_unknown(prediction):
    """Cells 3 and 7 are too far from every class; the user has spoken about cell 3."""
    return replace(
        prediction,
        unknown=np.array([0.1, 2.0, 3.0, 0.2], np.float32),
        is_unknown=np.array([False, True, True, False]),
    )


def test_unknown_cells_are_in_no_class_but_keep_the_nearest(
    image, cells, annotations, with_unknown, palette
):
    table = cells_table(image, cells, annotations, with_unknown, palette)
    assert table["class"].tolist() == ["RBC", "Platelets", UNKNOWN, "WBC"]
    assert table["predicted"].tolist() == ["RBC", "RBC", "Platelets", "WBC"]
    assert table["is_unknown"].tolist() == [False, True, True, False]
    np.testing.assert_allclose(table["unknown"], [0.1, 2.0, 3.0, 0.2], rtol=1e-6)
    assert counts_table(table, palette).to_numpy().tolist() == [
        ["RBC", 0, 1, 0, 1],
        ["WBC", 0, 1, 0, 1],
        ["Platelets", 1, 0, 0, 1],
        [UNKNOWN, 0, 0, 0, 1],
        ["Total", 1, 2, 0, 4],
    ]


def test_unknown_cells_can_be_shown_in_their_nearest_class(
    image, cells, annotations, with_unknown, palette
):
    nearest = replace(with_unknown, nearest=True)
    table = cells_table(image, cells, annotations, nearest, palette)
    assert table["class"].tolist() == ["RBC", "Platelets", "Platelets", "WBC"]
    assert table["is_unknown"].tolist() == [False, True, True, False]
    assert UNKNOWN not in counts_table(table, palette)["class"].tolist()


def test_a_restandardised_image_says_so_in_its_table(image, cells, with_unknown, palette):
    plain = cells_table(image, cells, {}, with_unknown, palette)
    moved = cells_table(image, cells, {}, replace(with_unknown, restandardised=True), palette)
    assert "restandardised" not in plain
    assert moved["restandardised"].all()


def test_unknown_cells_have_a_category_and_no_crop(
    tmp_path, image, cells, annotations, with_unknown, palette, spec
):
    shown = shown_classes(cells, annotations, with_unknown, palette)
    assert shown == {2: "rbc", 3: "platelets", 7: UNKNOWN, 9: "wbc"}
    found = to_coco([ClassifiedImage(image, cells, shown)], palette)
    assert [one["name"] for one in found["categories"]] == ["RBC", "WBC", "Platelets", UNKNOWN]
    assert [one["category_id"] for one in found["annotations"]] == [1, 3, 4, 2]
    files = write_crops(tmp_path / "crops", image, cells, shown, palette=palette, spec=spec)
    assert sorted(file.name[-10:-4] for file in files) == ["000002", "000003", "000009"]
