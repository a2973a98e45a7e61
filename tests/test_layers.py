"""Core objects to layer data: colours and features follow the user's word first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from napari_hemacells import layers
from napari_hemacells.core.annotate import default_palette
from napari_hemacells.core.annotate.palette import UNKNOWN_COLOUR
from napari_hemacells.core.types import CELL_COLUMNS, UNKNOWN, Cells, Prediction

PALETTE = default_palette()
RBC_ID, WBC_ID, PLATELET_ID = PALETTE.ids


@pytest.fixture
def cells() -> Cells:
    labels = np.zeros((10, 30), np.int32)
    rows = []
    for place, label in enumerate((2, 5, 9)):
        labels[2:6, 10 * place : 10 * place + 4] = label
        rows.append(
            (label, "RBC", 0.9, 3.5, 10 * place + 1.5, 2, 10 * place, 6, 10 * place + 4, 16)
        )
    return Cells(labels, pd.DataFrame(rows, columns=list(CELL_COLUMNS)), diameter=4.0)


@pytest.fixture
def prediction() -> Prediction:
    table = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.4, 0.5, 0.1]], np.float32)
    return Prediction(np.array([2, 5, 9]), PALETTE.ids, table)


def colours_of(cells, *known) -> dict[int | None, layers.Rgba]:
    codes, table = layers.colour_codes(cells, *known)
    ids = cells.ids.tolist()
    return {None: table[None], 0: table[0]} | {
        cell: table[code] for cell, code in zip(ids, codes.tolist(), strict=True)
    }


def calling_unknown(prediction: Prediction, *ids: int) -> Prediction:
    verdict = np.isin(prediction.ids, ids)
    return replace(prediction, unknown=verdict.astype(np.float32), is_unknown=verdict)


@pytest.mark.parametrize("mode", ["class", "confidence"])
def test_unknown_cells_have_a_colour_of_their_own_unless_the_user_spoke(cells, prediction, mode):
    found = calling_unknown(prediction, 2, 5)
    assert layers.known_classes(cells, {5: RBC_ID}, found) == [UNKNOWN, RBC_ID, WBC_ID]
    table = colours_of(cells, {5: RBC_ID}, found, PALETTE, mode)
    assert table[2] == layers.rgba(UNKNOWN_COLOUR, table[2][3])
    assert len({table[2], table[5], table[9], colours_of(cells, {}, None, PALETTE)[2]}) == 4


def test_unknown_cells_can_be_shown_in_their_nearest_class(cells, prediction):
    nearest = replace(calling_unknown(prediction, 2, 5), nearest=True)
    for mode in ("class", "confidence"):
        table = colours_of(cells, {}, nearest, PALETTE, mode)
        assert table == colours_of(cells, {}, prediction, PALETTE, mode)


def test_the_status_line_names_the_nearest_class_of_an_unknown_cell(cells, prediction):
    table = layers.layer_features(cells, {}, calling_unknown(prediction, 5), PALETTE)
    assert layers.format_cell_status(table.iloc[1]) == "cell 5: unknown, nearest Platelets"


def test_the_users_word_stands_above_the_prediction(cells, prediction):
    shown = layers.known_classes(cells, {5: RBC_ID}, prediction)
    assert shown == [RBC_ID, RBC_ID, WBC_ID]
    assert layers.confidences(cells, {5: RBC_ID}, prediction).tolist() == pytest.approx(
        [0.7, 1.0, 0.5]
    )


def test_features_have_a_row_a_cell_joined_by_index(cells, prediction):
    table = layers.layer_features(cells, {5: RBC_ID}, prediction, PALETTE)
    assert table["index"].tolist() == [2, 5, 9]
    assert table["class"].tolist() == ["RBC", "RBC", "WBC"]
    assert table["annotated"].tolist() == ["", "RBC", ""]
    assert table["predicted"].tolist() == ["RBC", "Platelets", "WBC"]


def test_a_prediction_of_cells_that_are_gone_is_left_out(cells, prediction):
    stale = Prediction(np.array([2, 77, 9]), prediction.class_ids, prediction.probabilities)
    assert layers.known_classes(cells, {77: RBC_ID}, stale) == [RBC_ID, None, WBC_ID]
    assert np.isnan(layers.confidences(cells, {}, stale)[1])


def test_an_annotated_cell_is_more_opaque_than_a_predicted_one(cells, prediction):
    table = colours_of(cells, {2: RBC_ID}, prediction, PALETTE)
    assert table[2][3] > table[9][3] > 0
    np.testing.assert_allclose(table[2][:3], layers.rgba(PALETTE.by_id(RBC_ID).colour)[:3])
    assert table[None][3] == table[0][3] == 0


def test_image_mode_is_clear_and_confidence_mode_follows_confidence(cells, prediction):
    assert all(
        colour[3] == 0 for colour in colours_of(cells, {}, prediction, PALETTE, "image").values()
    )
    table = colours_of(cells, {}, prediction, PALETTE, "confidence")
    brightness = {cell: sum(table[cell][:3]) for cell in (2, 5, 9)}
    assert brightness[2] > brightness[5] > brightness[9]


def test_nothing_predicted_is_still_shown(cells):
    table = colours_of(cells, {}, None, PALETTE)
    assert table[2][3] > 0
    assert layers.layer_features(cells, {}, None, PALETTE)["class"].tolist() == ["", "", ""]


@pytest.mark.parametrize(
    ("annotated", "predicted", "line"),
    [
        ({}, True, "cell 2: RBC 70 %"),
        ({2: WBC_ID}, True, "cell 2: WBC (yours)"),
        ({}, False, "cell 2: not classified yet"),
    ],
)
def test_the_status_line_says_class_and_confidence(cells, prediction, annotated, predicted, line):
    table = layers.layer_features(cells, annotated, prediction if predicted else None, PALETTE)
    assert (
        layers.format_cell_status(table.iloc[0]).replace("\u202f", " ").replace("70%", "70 %")
        == line
    )


def test_too_few_annotations_show_no_percentage(cells, prediction):
    few = replace(prediction, too_few=True)
    table = layers.layer_features(cells, {5: RBC_ID}, few, PALETTE)
    assert layers.format_cell_status(table.iloc[0]) == "cell 2: RBC"
    assert table["confidence"].isna().tolist() == [True, False, True]


def test_our_layers_are_known_by_metadata():
    assert layers.role_of(layers.role_metadata("cells", "ab")) == "cells"
    assert layers.role_of({}) is None
    assert layers.role_of({layers.METADATA_KEY: "somebody else's"}) is None


@pytest.mark.parametrize("annotated", [{}, {5: RBC_ID, 9: PLATELET_ID}])
@pytest.mark.parametrize("predicted", [0, 2, 3])
@pytest.mark.parametrize("unknown", [(), (2,), (2, 9)])
def test_colours_say_what_classes_say(cells, prediction, annotated, predicted, unknown):
    some = calling_unknown(prediction, *unknown).of(np.arange(3) < predicted)
    known = some if predicted else None
    colours = colours_of(cells, annotated, known, PALETTE)
    classes = layers.known_classes(cells, annotated, known)
    for cell, class_id in zip(cells.ids.tolist(), classes, strict=True):
        plain = {UNKNOWN: UNKNOWN_COLOUR, None: "#ffffff"}.get(class_id)
        expected = layers.rgba(plain or PALETTE.by_id(class_id).colour)
        assert colours[cell][:3] == expected[:3]
        assert (colours[cell][3] > 0.9) == (cell in annotated)


def test_each_of_very_many_classes_keeps_its_colour(cells, prediction):
    many = PALETTE
    for number in range(200):
        many = many.add(f"class {number}", f"#0000{number:02x}")
    annotated = {2: many.ids[-2], 5: many.ids[-1]}
    colours = colours_of(cells, annotated, calling_unknown(prediction, 9), many)
    assert colours[2][:3] == layers.rgba(many.classes[-2].colour)[:3]
    assert colours[5][:3] == layers.rgba(many.classes[-1].colour)[:3]
    assert colours[9][:3] == layers.rgba(UNKNOWN_COLOUR)[:3]


def test_detected_shades_are_the_kinds_colours(cells):
    cells.table["class"] = ["RBC", "Platelets", "something"]
    codes, table = layers.detected_colour_codes(cells, PALETTE)
    colour = {one.name: layers.rgba(one.colour) for one in PALETTE}
    assert [table[code] for code in codes] == [colour["RBC"], colour["Platelets"], (1, 1, 1, 1)]
