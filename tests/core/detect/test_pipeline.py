"""The detector that was chosen is the one that runs, and the cells say so."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from napari_hemacells.core.detect import detect, detect_steps, keep_annotated, preload_detector
from napari_hemacells.core.detect.pipeline import detect_classical, detect_learned
from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.image import image_from_array
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.types import Progress, SmearImage

pytestmark = pytest.mark.slow  # the real network


@pytest.fixture(scope="module")
def discs() -> SmearImage:
    """Four red cells of 40 px, two of them overlapping."""
    rows, cols = np.indices((140, 200))
    pixels = np.full((140, 200, 3), (235, 228, 232), np.float64)
    for row, col in ((40, 40), (40, 140), (100, 60), (104, 92)):
        pixels[np.hypot(rows - row, cols - col) <= 20] = (205, 110, 115)
    noise = np.random.default_rng(0).normal(0, 3, pixels.shape)
    return image_from_array((pixels + noise).clip(0, 255).astype(np.uint8), "discs")


@pytest.mark.parametrize(
    ("method", "alone"), [("learned", detect_learned), ("classical", detect_classical)]
)
def test_the_chosen_detector_runs(discs, method, alone):
    params = DetectParams(method=method, cell_diameter=40)
    cells, expected = detect(discs, params), alone(discs, params)
    np.testing.assert_array_equal(cells.labels, expected.labels)
    assert (cells.source, cells.detector) == ("detector", method)


def test_the_learned_detector_is_the_usual_one(discs):
    assert detect(discs).detector == "learned"


def test_steps_can_be_stopped_before_the_end(discs):
    steps = detect_steps(discs, DetectParams(cell_diameter=40))
    assert isinstance(next(steps), Progress)
    steps.close()


def test_new_cells_beside_kept_ones_name_the_new_detector(discs):
    old = detect(discs, DetectParams(method="classical", cell_diameter=40))
    new = detect(discs, DetectParams(method="learned", cell_diameter=40))
    assert keep_annotated(old, old.ids[:1].tolist(), new).detector == "learned"


def test_temperatures_are_refused_by_the_learned_detector():
    frame = SmearImage(np.zeros((20, 20), np.float32), "0" * 16, "frame", modality="temperature")
    with pytest.raises(ImageError, match="temperature"):
        detect(frame)


def test_the_classical_detector_needs_no_torch():
    code = (
        "import sys, numpy as np\n"
        "from napari_hemacells.core.detect import detect, preload_detector\n"
        "from napari_hemacells.core.image import image_from_array\n"
        "from napari_hemacells.core.params import DetectParams\n"
        "preload_detector('classical')\n"
        "glass = image_from_array(np.full((60, 80, 3), 230, np.uint8), 'glass')\n"
        "detect(glass, DetectParams(method='classical'))\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_the_weights_are_loaded_once():
    from napari_hemacells.core.detect.learned.model import bundled_model

    preload_detector("learned")
    assert bundled_model.cache_info().currsize == 1
