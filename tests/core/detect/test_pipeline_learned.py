"""The bundled detector on a picture drawn by hand: where the cells are is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_hemacells.core.detect.learned.inference import is_sliver, relabel_small_leukocytes
from napari_hemacells.core.detect.learned.model import bundled_model
from napari_hemacells.core.detect.learned.network import CellNet
from napari_hemacells.core.detect.learned.postprocess import Detections
from napari_hemacells.core.detect.pipeline import detect_learned, detect_learned_steps
from napari_hemacells.core.errors import CellsError, ImageError
from napari_hemacells.core.image import image_from_array
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.types import CELL_COLUMNS, PLATELET, RBC, WBC, Progress, SmearImage
from napari_hemacells.core.types.progress import run_to_end

pytestmark = pytest.mark.slow  # runs the bundled network

RED = [
    (40, 40),
    (40, 130),
    (45, 165),
    (120, 60),
    (120, 200),
    (190, 30),
    (200, 120),
    (60, 250),
    (195, 250),
]
WHITE, SMALL = (125, 135), (165, 165)
GLASS, ERYTHROCYTE = (226, 222, 220), (205, 150, 145)
CYTOPLASM, NUCLEUS, VIOLET = (185, 165, 205), (95, 60, 140), (130, 90, 160)


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(rows - centre[0], cols - centre[1]) < radius


def smear(zoom: float = 1.0) -> np.ndarray:
    shape = (round(240 * zoom), round(300 * zoom))
    picture = np.full((*shape, 3), GLASS, np.float32)
    for at in RED:
        centre = (at[0] * zoom, at[1] * zoom)
        picture[disc(shape, centre, 20 * zoom)] = ERYTHROCYTE
        picture[disc(shape, centre, 7 * zoom)] = (215, 185, 180)
    for at, radius, colour in [(WHITE, 32, CYTOPLASM), (WHITE, 22, NUCLEUS), (SMALL, 7, VIOLET)]:
        picture[disc(shape, (at[0] * zoom, at[1] * zoom), radius * zoom)] = colour
    picture = ndi.gaussian_filter(picture, (1.2 * zoom, 1.2 * zoom, 0))
    picture += np.random.default_rng(0).normal(0, 2, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def image_of(pixels: np.ndarray) -> SmearImage:
    return image_from_array(pixels, "drawn")


def labels_at(cells, places, zoom=1.0) -> list[int]:
    return [int(cells.labels[round(r * zoom), round(c * zoom)]) for r, c in places]


@pytest.mark.parametrize("zoom", [0.5, 1.0, 3.0])
def test_every_drawn_cell_has_a_label_of_its_own_at_any_size(zoom: float) -> None:
    cells = detect_learned(image_of(smear(zoom)))
    red = labels_at(cells, RED, zoom)
    assert 0 not in red
    assert len(set(red)) == len(RED)
    kind = dict(zip(cells.table["label"], cells.table["class"], strict=True))
    assert {kind[label] for label in red} == {RBC}
    assert kind[labels_at(cells, [WHITE], zoom)[0]] == WBC
    assert cells.diameter == pytest.approx(40 * zoom, rel=0.25)


def test_platelet_is_told_from_cells() -> None:
    cells = detect_learned(image_of(smear()), DetectParams(cell_diameter=40))
    label = labels_at(cells, [SMALL])[0]
    assert cells.table.set_index("label").loc[label, "class"] == PLATELET


def test_a_white_cell_smaller_than_a_red_one_is_a_platelet() -> None:
    boxes = np.array(
        [[10, 10, 40, 40], [50, 50, 110, 110], [0, 50, 30, 80], [60, 0, 90, 30]], float
    )
    found = Detections(boxes, np.array([1, 1, 1, 0]), np.ones(4))
    assert relabel_small_leukocytes(found, (200, 200), 40.0).kinds.tolist() == [2, 1, 1, 0]


def test_the_table_keeps_its_contract() -> None:
    cells = detect_learned(image_of(smear()), DetectParams(cell_diameter=40))
    assert tuple(cells.table.columns) == CELL_COLUMNS
    assert cells.labels.dtype == np.int32
    assert cells.ids.tolist() == list(range(1, len(cells) + 1))
    assert (np.bincount(cells.labels.ravel())[1:] == cells.table["area"]).all()
    assert (cells.boxes[:, :2] >= 0).all()
    assert (cells.boxes[:, 2:] <= cells.labels.shape).all()
    assert cells.table["score"].between(0, 1).all()


def test_what_is_found_does_not_depend_on_the_tiles() -> None:
    image, params = image_of(np.tile(smear(), (2, 2, 1))), DetectParams(cell_diameter=40)
    whole = detect_learned(image, params)
    for core in (160, 224):
        tiled = run(detect_learned_steps(image, params, tile=core))
        assert len(tiled) == len(whole)
        apart = np.linalg.norm(tiled.centres[:, None] - whole.centres[None], axis=2)
        assert apart.min(axis=1).max() < 1


def run(steps):
    while True:
        try:
            assert isinstance(next(steps), Progress)
        except StopIteration as end:
            return end.value


def test_sensitivity_only_adds_cells() -> None:
    image = image_of(smear())
    counts = [
        len(detect_learned(image, DetectParams(cell_diameter=40, sensitivity=s)))
        for s in (0.1, 0.5, 1.0)
    ]
    assert counts == sorted(counts)


def test_another_sensitivity_takes_no_run_of_the_network(monkeypatch) -> None:
    image, runs = image_of(smear()), []
    fresh = bundled_model().keeping_maps()
    run = CellNet.taps
    monkeypatch.setattr(
        CellNet, "taps", lambda network, pictures: runs.append(1) or run(network, pictures)
    )
    counts = []
    for sensitivity in (0.5, 0.3, 0.9):
        params = DetectParams(sensitivity=sensitivity)
        found = run_to_end(detect_learned_steps(image, params, model=fresh))
        counts.append(len(runs))
    assert counts[0] > 1
    assert counts == [counts[0]] * 3
    fresh = bundled_model().keeping_maps()
    afresh = run_to_end(detect_learned_steps(image, params, model=fresh))
    assert found.table.equals(afresh.table)


def test_measuring_counts_its_steps() -> None:
    steps = detect_learned_steps(image_of(smear()))
    reports = [report for report in steps if report.message == "Measuring the cells"]
    assert len({report.total for report in reports}) == 1
    assert [report.done for report in reports] == list(range(len(reports)))
    assert 3 < len(reports) <= reports[0].total


@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_empty_picture_has_no_cells(value: int) -> None:
    cells = detect_learned(image_of(np.full((90, 120, 3), value, np.uint8)))
    assert len(cells) == 0
    assert tuple(cells.table.columns) == CELL_COLUMNS


def test_a_tiny_picture_is_no_error() -> None:
    assert detect_learned(image_of(smear()[:3, :5])).labels.shape == (3, 5)


def test_the_diameter_in_micrometres_needs_a_pixel_size() -> None:
    with pytest.raises(CellsError, match="pixel size"):
        detect_learned(image_of(smear()), DetectParams(cell_diameter_um=7.5))


def test_temperatures_are_refused() -> None:
    frame = SmearImage(np.zeros((20, 20), np.float32), "0" * 16, "frame", modality="temperature")
    with pytest.raises(ImageError, match="temperature"):
        detect_learned(frame)


def test_the_grain_of_an_empty_field_is_not_taken_for_cells():
    noise = np.random.default_rng(0).normal(100, 9, (220, 220, 1))
    field = np.clip(np.repeat(noise, 3, axis=2), 0, 255).astype(np.uint8)
    cells = detect_learned(image_from_array(field, "empty"))
    assert len(cells) < 10


def test_each_cell_has_a_vector_of_the_detector_whether_in_one_part_or_in_several():
    """In parts a cell has nearly the vector that it has in one: no second run of the network."""
    image = image_of(smear(2.0))
    params = DetectParams(method="learned", cell_diameter=80.0)
    whole = detect_learned(image, params)
    parts = run_to_end(detect_learned_steps(image, params, tile=128))
    for cells in (whole, parts):
        assert cells.first_vectors is not None
        assert cells.first_vectors.ids.tolist() == cells.ids.tolist()
        assert cells.first_vectors.image_key == image.key
    one, many = whole.first_vectors.vectors, parts.first_vectors.vectors
    near = np.hypot(*(whole.centres[:, None] - parts.centres[None]).transpose(2, 0, 1))
    same = near.argmin(axis=1)
    spread = one.std(axis=0) + 1e-3
    apart = np.abs((one - many[same]) / spread).mean(axis=1)
    others = np.abs((one - np.roll(one, 1, axis=0)) / spread).mean(axis=1)
    assert np.median(apart) < 0.5 * np.median(others)


@pytest.mark.parametrize(
    ("box", "kind", "sliver"),
    [
        ((0, 40, 5, 80), 0, True),
        ((195, 40, 200, 80), 0, True),
        ((0, 40, 7, 80), 0, False),  # 0.175 of a diameter is seen
        ((20, 40, 25, 80), 0, False),  # not at the border
        ((0, 40, 5, 45), 2, False),  # platelets are as small
    ],
)
def test_a_sliver_of_a_red_cell_at_the_border_is_no_cell(box, kind, sliver):
    found = Detections(np.array([box], float), np.array([kind]), np.array([0.9]))
    assert is_sliver(found, (200, 200), 40.0).tolist() == [sliver]
