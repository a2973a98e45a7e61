"""The breasts of real thermograms against their annotated boxes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_hemacells.core.thermography.regions import body_mask, find_boxes, find_regions

pytestmark = pytest.mark.realdata


def overlap(one, other) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = np.clip(high - low, 0, None).prod()
    areas = [(box[2:] - box[:2]).prod() for box in (one, other)]
    return float(shared / (sum(areas) - shared))


@pytest.fixture(scope="module")
def exams(shared_data):
    folder = shared_data / "dmr_ir"
    boxes = pd.read_csv(folder / "boxes.csv")
    breasts = boxes[boxes["class"] == "breast"].sort_values("x0")
    with np.load(folder / "exams_centidegrees.npz") as stored:
        yield {
            name: (
                (stored[name] / 100).astype(np.float32),
                own[["y0", "x0", "y1", "x1"]].to_numpy(),
            )
            for name, own in breasts.groupby("exam")
        }


def test_breasts_are_where_people_drew_them(exams):
    """The bundled cascade has learned from these: a guard, not a figure of merit."""
    overlaps, both = [], []
    for celsius, annotated in exams.values():
        found = find_boxes(celsius, body_mask(celsius))
        best = [max(overlap(one, box) for one in found) for box in annotated]
        overlaps += best
        if len(best) == 2:
            both.append(min(best) >= 0.5)
    assert np.mean(overlaps) > 0.78
    assert np.mean(both) > 0.95


def test_outlines_fill_their_boxes_and_stay_on_the_body(exams):
    for celsius, _ in list(exams.values())[:6]:
        regions = find_regions(celsius)
        for breast in regions.breasts.values():
            top, left, bottom, right = breast.box
            filled = breast.mask.sum() / ((bottom - top) * (right - left))
            assert 0.45 < filled < 1.05
            assert (breast.mask & ~regions.body).sum() < 0.03 * breast.mask.sum()
