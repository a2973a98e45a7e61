"""An image in parts gives the cells of the whole, wherever the parts are computed.

The classical detector is enough for that: it needs no network.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
from skimage.draw import disk

from napari_hemacells.core.cell_masks import LazyLabels
from napari_hemacells.core.detect import PartialDetection, detect, detect_steps
from napari_hemacells.core.detect import stitching as joining
from napari_hemacells.core.detect.pipeline import detect_part, plan_steps
from napari_hemacells.core.detect.regions import Regions
from napari_hemacells.core.detect.stitching import stitch
from napari_hemacells.core.image import image_from_array
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.types import CELL_COLUMNS
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from napari_hemacells.core.detect.plan import Plan

PARAMS = DetectParams(method="classical", cell_diameter=24)
SHAPE = (330, 420)
GLASS, RED, VIOLET = (235, 232, 230), (205, 150, 150), (95, 60, 150)


def centres() -> list[tuple[int, int]]:
    """A grid that is shaken, some neighbours overlapping, and tiles' borders anywhere."""
    random = np.random.default_rng(3)
    grid = [(row, col) for row in range(20, 320, 30) for col in range(20, 410, 32)]
    return [
        (r + int(a), c + int(b))
        for (r, c), (a, b) in zip(grid, random.integers(-5, 6, (len(grid), 2)), strict=True)
    ]


@pytest.fixture(scope="module")
def field():
    picture = np.empty((*SHAPE, 3))
    picture[:] = GLASS
    for centre in centres():
        picture[disk(centre, 12, shape=SHAPE)] *= np.divide(RED, GLASS)
    for centre in centres()[::9]:
        picture[disk(centre, 3, shape=SHAPE)] = VIOLET
    noise = np.random.default_rng(0).normal(0, 2, picture.shape)
    return image_from_array(np.clip(picture + noise, 0, 255).astype(np.uint8), "field")


def plan_of(image, **options) -> Plan:
    return run_to_end(plan_steps(image, PARAMS, **options))


@pytest.fixture(scope="module")
def whole(field):
    plan = plan_of(field, tile=128)
    return stitch(plan, [detect_part(field, plan, part) for part in plan.parts])


def test_a_small_image_is_one_part_and_has_an_array_of_labels(field):
    assert len(plan_of(field).parts) == 1
    cells = detect(field, PARAMS)
    assert isinstance(cells.labels, np.ndarray)
    assert cells.ids.tolist() == list(range(1, len(cells) + 1))
    in_order = cells.table.sort_values(["row", "col"])
    assert in_order["label"].tolist() == cells.ids.tolist()


@pytest.mark.parametrize("tile", [112, 160, 256])
def test_the_cells_do_not_depend_on_the_tiles(field, whole, tile):
    cells = run_to_end(detect_steps(field, PARAMS, tile=tile))
    assert len(cells) == len(whole)
    apart = np.linalg.norm(cells.centres[:, None] - whole.centres[None], axis=2)
    assert apart.min(axis=0).max() < 2
    assert apart.min(axis=1).max() < 2
    differ = (np.asarray(cells.labels) > 0) != (np.asarray(whole.labels) > 0)
    assert differ.mean() < 0.002


def test_every_cell_on_the_picture_is_found_once(whole):
    apart = np.linalg.norm(whole.centres[:, None] - np.array(centres())[None], axis=2)
    near = (apart < 6).sum(axis=0)
    assert (near >= 1).mean() > 0.97
    red = (whole.table["class"] == "RBC").to_numpy()
    assert ((apart[red] < 6).sum(axis=0) <= 1).all()


def test_the_cells_found_so_far_are_those_of_the_whole(field, whole):
    partial = PartialDetection()
    assert partial.cells() is None
    steps = detect_steps(field, PARAMS, tile=128, partial=partial)
    while len(partial.parts) < 4:
        next(steps)
    steps.close()
    found = partial.cells()
    assert 0 < len(found) < len(whole)
    assert len(found) <= len(partial)
    apart = np.linalg.norm(found.centres[:, None] - whole.centres[None], axis=2)
    assert (apart.min(axis=1) < 2).all()
    red = found.centres[(found.table["class"] == "RBC").to_numpy()]
    between = np.linalg.norm(red[:, None] - red[None], axis=2)
    assert (between < 2).sum() == len(red)  # joined across the borders: none is there twice
    everything = PartialDetection()
    run_to_end(detect_steps(field, PARAMS, tile=128, partial=everything))
    assert everything.cells().table.equals(whole.table)


def test_plan_parts_and_cells_can_go_to_another_process(field, whole):
    plan = pickle.loads(pickle.dumps(plan_of(field, tile=128)))  # noqa: S301 - our own bytes
    assert plan.digest() == plan_of(field, tile=128).digest()
    done = []
    for part in reversed(plan.parts):
        sent = pickle.loads(pickle.dumps(part))  # noqa: S301 - our own bytes
        found = detect_part(field, plan, sent)
        assert list(found.table) == list(CELL_COLUMNS[1:])
        assert len(found.masks) == len(found)
        done.append(pickle.loads(pickle.dumps(found)))  # noqa: S301 - our own bytes
    cells = stitch(plan, done)
    assert cells.table.equals(whole.table)
    np.testing.assert_array_equal(cells.labels, whole.labels)


def test_only_cells_with_their_centre_in_a_region_are_found(field, whole):
    triangle = np.array([[0.0, 0.0], [0.0, 200.0], [200.0, 0.0]])
    regions = Regions((triangle,))
    plan = plan_of(field, tile=128, regions=regions)
    assert len(plan.parts) < len(plan_of(field, tile=128).parts)
    cells = stitch(plan, [detect_part(field, plan, part) for part in plan.parts])
    assert regions.contains(cells.centres).all()
    expected = int(regions.contains(whole.centres).sum())
    assert expected > 0
    assert abs(len(cells) - expected) <= 1
    one_part = detect(field, PARAMS, regions=regions)
    assert regions.contains(one_part.centres).all()


def test_a_region_beyond_the_image_holds_no_cell(field):
    beyond = Regions((np.array([[900.0, 900.0], [900.0, 950.0], [950.0, 950.0]]),))
    assert len(detect(field, PARAMS, regions=beyond)) == 0


def test_the_reports_bring_every_cell_and_count_the_parts(field, whole):
    steps, reports = detect_steps(field, PARAMS, tile=128), []
    while True:
        try:
            reports.append(next(steps))
        except StopIteration as end:
            cells = end.value
            break
    brought = [report.found for report in reports if report.found is not None]
    parts = len(plan_of(field, tile=128).parts)
    assert [one.part for one in brought] == list(range(parts))
    assert (reports[-1].done, reports[-1].total) == (parts, parts)
    assert sum(map(len, brought)) >= len(cells)  # those on a border are brought by two parts
    told = int(reports[-1].message.split()[0])
    assert abs(told - len(cells)) <= 0.02 * len(cells)


def test_a_large_image_has_lazy_labels_with_the_same_pixels(field, whole, monkeypatch):
    monkeypatch.setattr(joining, "MAX_EAGER_PIXELS", 1000)
    cells = run_to_end(detect_steps(field, PARAMS, tile=128))
    assert isinstance(cells.labels, LazyLabels)
    np.testing.assert_array_equal(np.asarray(cells.labels), whole.labels)
    for cell in cells.ids[::17].tolist():
        assert cells.mask_of(cell).area == (np.asarray(whole.labels) == cell).sum()


def test_anything_that_changes_the_cells_changes_the_plan(field):
    plan = plan_of(field, tile=128)
    region = Regions((np.array([[0.0, 0.0], [0.0, 99.0], [99.0, 0.0]]),))
    more = DetectParams(method="classical", cell_diameter=24, sensitivity=0.7)
    others = [
        plan_of(field, tile=160),
        plan_of(field, tile=128, regions=region),
        run_to_end(plan_steps(field, more, tile=128)),
        plan_of(image_from_array(np.asarray(field.pixels)[::-1], "other"), tile=128),
    ]
    assert len({plan.digest(), *(one.digest() for one in others)}) == 5


@pytest.mark.slow
def test_the_learned_detector_by_parts_in_any_order(field):
    params = DetectParams(cell_diameter=24)
    plan = pickle.loads(pickle.dumps(run_to_end(plan_steps(field, params, tile=192))))  # noqa: S301
    assert len(plan.parts) > 2
    done = [detect_part(field, plan, part) for part in reversed(plan.parts)]
    one, other = stitch(plan, done), run_to_end(detect_steps(field, params, tile=192))
    assert one.table.equals(other.table)
    np.testing.assert_array_equal(one.labels, other.labels)
    counts = [len(run_to_end(detect_steps(field, params, tile=tile))) for tile in (160, 256, 320)]
    assert max(counts) - min(counts) <= 0.005 * max(counts)
