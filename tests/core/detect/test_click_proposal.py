"""A cell proposed at a point, with a made-up network and without one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_hemacells.core.cell_ops import replace_cells
from napari_hemacells.core.detect import cells_from_labels, detect, empty_cells
from napari_hemacells.core.detect.click_proposal import propose_cell
from napari_hemacells.core.detect.learned.metadata import CANONICAL_DIAMETER, KINDS, STRIDE
from napari_hemacells.core.detect.learned.model import DetectorMaps
from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.image import image_from_array, read_image

SHAPE, GLASS, RED, BLUE = (240, 320), (236, 232, 229), (205, 130, 130), (110, 60, 150)
ROWS, COLS = np.mgrid[: SHAPE[0], : SHAPE[1]]


def disc(row, col, radius=20):
    return np.hypot(ROWS - row, COLS - col) < radius


def smear(*discs):
    """Coloured discs on glass."""
    pixels = np.full((*SHAPE, 3), GLASS, float)
    for mask, colour in discs:
        pixels[mask] = colour
    noise = np.random.default_rng(0).normal(0, 3, pixels.shape)
    return image_from_array(np.clip(pixels + noise, 0, 255).astype(np.uint8), "smear")


class Sees:
    """A network that sees cells with these boxes, kinds and scores, in pixels at scale."""

    def __init__(self, *cells):
        self.cells = cells

    def maps(self, picture):
        shape = [-(-side // 16) * 16 // STRIDE for side in picture.shape[:2]]
        heat = np.full((len(KINDS), *shape), 0.001, np.float32)
        boxes = np.zeros((len(KINDS), 4, *shape), np.float32)
        foreground = (np.abs(picture.astype(float) - GLASS).max(axis=2) > 25)[::STRIDE, ::STRIDE]
        chance = np.zeros(shape, np.float32)
        chance[: foreground.shape[0], : foreground.shape[1]] = foreground
        for (top, left, bottom, right), kind, score in self.cells:
            row, col = (
                int((low + high) / 2 / STRIDE) for low, high in ((top, bottom), (left, right))
            )
            inside = np.s_[
                kind,
                :,
                int(top / STRIDE) : int(bottom / STRIDE),
                int(left / STRIDE) : int(right / STRIDE),
            ]
            boxes[inside] = np.array([top, left, bottom, right], np.float32)[:, None, None]
            heat[kind, row, col] = score
        return DetectorMaps(heat, boxes, chance, ())


def whole(proposal):
    found = np.zeros(SHAPE, bool)
    found[proposal.mask.window] = proposal.mask.bits
    return found


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


NOTHING = empty_cells(SHAPE, CANONICAL_DIAMETER)


def test_what_the_network_sees_faintly_is_proposed_with_its_kind():
    image = smear((disc(60, 60), RED))
    made = propose_cell(image, NOTHING, (64.0, 55.0), model=Sees(((40, 40, 80, 80), 0, 0.1)))
    assert (made.method, made.kind) == ("network", "RBC")
    assert made.score == pytest.approx(0.1)
    assert iou(whole(made), disc(60, 60)) > 0.85


def test_a_small_white_cell_is_called_a_platelet():
    image = smear((disc(60, 60, 8), BLUE))
    made = propose_cell(image, NOTHING, (60.0, 60.0), model=Sees(((52, 52, 68, 68), 1, 0.3)))
    assert made.kind == "Platelets"


def test_pixels_of_neighbours_stay_theirs():
    image = smear((disc(60, 60), RED), (disc(60, 90), RED))
    labels = np.zeros(SHAPE, np.int32)
    labels[disc(60, 60)] = 1
    cells = cells_from_labels(labels, SHAPE, diameter=40.0)
    made = propose_cell(image, cells, (60.0, 95.0), model=Sees(((40, 70, 80, 110), 0, 0.3)))
    assert not (whole(made) & (labels > 0)).any()
    assert made.taken == {}
    assert whole(made)[60, 95]


def test_a_platelet_on_a_red_cell_takes_its_pixels():
    image = smear((disc(60, 60), RED), (disc(60, 60, 6), BLUE))
    labels = np.where(disc(60, 60), 1, 0).astype(np.int32)
    cells = cells_from_labels(labels, SHAPE, diameter=40.0)
    made = propose_cell(image, cells, (60.0, 60.0), model=Sees(((54, 54, 66, 66), 2, 0.3)))
    assert made.kind == "Platelets"
    assert set(made.taken) == {1}
    assert made.taken[1].area + made.mask.area == (labels == 1).sum()


def test_a_cell_that_is_there_is_not_proposed_again():
    image = smear((disc(60, 60), RED))
    labels = np.where(disc(60, 60), 7, 0).astype(np.int32)
    cells = cells_from_labels(labels, SHAPE, diameter=40.0)
    with pytest.raises(CellsError, match="Cell 7 is here already"):
        propose_cell(image, cells, (60.0, 60.0), model=Sees(((40, 40, 80, 80), 0, 0.9)))


def test_where_the_network_sees_nothing_the_stain_is_taken():
    image = smear((disc(60, 60), RED), (disc(160, 200), RED))
    made = propose_cell(image, NOTHING, (66.0, 56.0), model=Sees())
    assert (made.method, made.kind) == ("stain", "")
    assert iou(whole(made), disc(60, 60)) > 0.8


def test_on_glass_it_is_a_disc_of_the_usual_size():
    made = propose_cell(smear((disc(60, 60), RED)), NOTHING, (180.0, 250.0), model=Sees())
    assert made.method == "disc"
    assert iou(whole(made), disc(180, 250)) > 0.95


def test_a_cell_at_the_border_is_cut_there():
    made = propose_cell(smear(), NOTHING, (0.0, 319.0), model=Sees())
    assert made.mask.box[0] == 0
    assert made.mask.box[3] == 320


@pytest.mark.parametrize("point", [(-3.0, 10.0), (10.0, 320.0)])
def test_outside_the_image_is_refused(point):
    with pytest.raises(CellsError, match="outside"):
        propose_cell(smear(), NOTHING, point, model=Sees())


def test_temperatures_get_a_disc():
    flat = image_from_array(np.full(SHAPE, 30.0, np.float32), "warm")
    warm = replace(flat, modality="temperature")
    assert propose_cell(warm, NOTHING, (60.0, 60.0)).method == "disc"


@pytest.mark.slow
@pytest.mark.realdata
def test_removed_cells_of_a_real_field_are_proposed_again(shared_data):
    image = read_image(shared_data / "bccd/images/BloodImage_00017.jpg")
    cells = detect(image)
    for cell in cells.ids[::5].tolist():
        place = tuple(cells.centres[cells.position[cell]].tolist())
        made = propose_cell(image, replace_cells(cells, [cell], []), place)
        before = np.asarray(cells.labels) == cell
        found = np.zeros(image.shape, bool)
        found[made.mask.window] = made.mask.bits
        assert iou(found, before) > 0.5
