"""Where a network looked."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
import torch
from PIL import Image

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.store import load_bundle
from napari_hemacells.core.train.classifier import ClassifierConfig
from napari_hemacells.core.train.classifier.gradcam import gradcam_maps
from napari_hemacells.core.train.classifier.pipeline import train
from napari_hemacells.core.train.classifier.training import TrainJob

PATCH = 12


def cell(seed, side, marked):
    """Noise on grey; a marked one has a bright patch, and where it is."""
    random = np.random.default_rng(seed)
    pixels = random.normal(110, 12, (side, side, 3))
    row, col = random.integers(2, side - PATCH - 2, 2)
    if marked:
        pixels[row : row + PATCH, col : col + PATCH] = (250, 240, 120)
    return pixels.clip(0, 255).astype(np.uint8), (row + PATCH / 2, col + PATCH / 2)


@pytest.fixture
def one_thread():
    """The same sums, so the same network, whatever the number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def trained(tmp_path, one_thread):
    """A model that tells cells with a bright patch from those without."""

    def make(arch, side, **changes):
        for name in ("marked", "plain"):
            (tmp_path / "cells" / name).mkdir(parents=True)
            for n in range(40):
                pixels, _ = cell(n + 1000 * (name == "plain"), side, name == "marked")
                Image.fromarray(pixels).save(tmp_path / "cells" / name / f"{n}.png")
        recipe = ClassifierConfig(**{
            "arch": arch, "weights": "none", "size": side, "frozen_epochs": 0, "epochs": 8,
            "rate": 3e-3, "lower": 1.0, "batch": 16, "device": "cpu", "schedule": "one-cycle",
            "brightness": 0.0, "stain": 0.0, "zoom": 1.0, "rotation": 0.0, **changes,
        })  # fmt: skip
        outcome = train(TrainJob(tmp_path / "cells", tmp_path / "run", recipe))
        return outcome, load_bundle(outcome.model)

    return make


def distances(bundle, side, n=12):
    """Pixels between the hottest place and the patch."""
    seen = [cell(5000 + seed, side, marked=True) for seed in range(n)]
    crops = np.stack([pixels for pixels, _ in seen])
    marked = [one.name for one in bundle.palette].index("marked")
    heat = gradcam_maps(bundle.make_encoder("cpu"), bundle.head, crops, np.full(n, marked))
    assert heat.shape == (n, side, side)
    assert heat.min() >= 0
    assert heat.max() <= 1
    hottest = [np.unravel_index(one.argmax(), one.shape) for one in heat]
    return np.array([
        np.hypot(*np.subtract(place, centre))
        for place, (_, centre) in zip(hottest, seen, strict=True)
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("arch", "side", "changes"),
    [
        ("test_resnet", 64, {"turns": 4}),
        pytest.param("small_vgg", 64, {"rate": 5e-4}, marks=pytest.mark.slow),
        pytest.param("test_vit", 160, {"head": "linear"}, marks=pytest.mark.slow),
        pytest.param("bundled", 128, {"weights": "bundled", "epochs": 4}, marks=pytest.mark.slow),
    ],
)
def test_the_heat_is_where_the_patch_is(trained, arch, side, changes):
    outcome, bundle = trained(arch, side, **changes)
    assert outcome.figures["validation"]["accuracy"]["value"] > 0.9
    assert np.median(distances(bundle, side)) < side / 6


@pytest.mark.slow
@pytest.mark.parametrize(
    "arch",
    ["resnet18", "alexnet", "vgg16", "densenet121", "vit_b_32", "swin_tiny_patch4_window7_224"],
)
def test_every_architecture_has_heat(arch):
    from napari_hemacells.core.classify.calibration import Calibration
    from napari_hemacells.core.train.classifier.export import make_bundle
    from napari_hemacells.core.train.classifier.model_zoo import build_network
    from napari_hemacells.core.types import CropSpec

    network, plan, _ = build_network(ClassifierConfig(arch=arch, weights="none"), 3)
    targets = np.repeat(np.arange(3), 2)
    bundle = make_bundle(
        network.eval(), plan, name="x", classes=["a", "b", "c"], spec=CropSpec(plan.size, 1.0),
        temperature=1.0, calibration=Calibration(), targets=targets, seen="", training={},
        vectors=np.zeros((6, network.embedder.dim), np.float32),
        held_out=np.zeros((0, network.embedder.dim), np.float32),
    )  # fmt: skip
    crops = np.stack([cell(seed, plan.size, marked=True)[0] for seed in range(2)])
    heat = gradcam_maps(bundle.make_encoder("cpu"), bundle.head, crops, np.array([0, 2]))
    assert heat.shape == (2, plan.size, plan.size)
    assert np.isfinite(heat).all()
    assert heat.max() > 0


def test_without_the_library_it_says_how_to_get_it(monkeypatch):
    honest = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("pytorch_grad_cam"):
            raise ImportError(name)
        return honest(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(TrainingError, match=r"pip install 'napari-hemacells\[report\]'"):
        gradcam_maps(None, None, np.zeros((0, 8, 8, 3), np.uint8), np.zeros(0, np.int64))
