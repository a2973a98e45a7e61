"""A classifier on thermograms: floats from the file to the network, patients kept together."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_hemacells.core.train.classifier.crop_store import (
    estimate_crop_geometry,
    load_examples_steps,
)
from napari_hemacells.core.train.classifier.dataset import read_examples
from napari_hemacells.core.train.classifier.pipeline import prepare_steps, train
from napari_hemacells.core.train.classifier.results import read_results
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_hemacells.core.train.classifier.training import TrainJob

CLASSES = {"cool": 24.0, "warm": 36.0}


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Two frames each of eight patients a class, as an export of a study writes them."""
    folder, rng = tmp_path / "study", np.random.default_rng(0)
    rows = [("path", "label", "patient")]
    for place, (label, celsius) in enumerate(CLASSES.items()):
        (folder / label).mkdir(parents=True)
        for number in range(16):
            patient = f"{place}{number // 2:03d}"
            name = f"{label}/T{patient}.1.1.D.2013-01-16.{number:02d}.celsius.tif"
            values = rng.normal(celsius, 0.5, (24, 32)).astype(np.float32)
            tifffile.imwrite(folder / name, values)
            rows.append((name, label, patient))
    with (folder / "examples.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return folder


def test_crops_of_thermograms_are_never_rounded(frames: Path) -> None:
    examples = read_examples(frames)
    loaded = run_to_end(
        load_examples_steps(examples, estimate_crop_geometry(examples, 32, None), memory_mb=1)
    )
    crops = loaded.crops[np.arange(32)]
    assert (crops.shape, crops.dtype) == ((32, 32, 32, 3), np.float32)
    first = tifffile.imread(examples.items[0].path) * (255 / 40)
    np.testing.assert_allclose(crops[0, 4:28, :, 0], first, rtol=1e-5)
    assert not loaded.unreadable


def test_the_recipe_says_how_degrees_are_seen(frames: Path, job: Callable[..., TrainJob]) -> None:
    steps = prepare_steps(job(source=frames, degrees="range", palette="inferno"))
    crops = run_to_end(steps).loaded.crops
    assert (crops.frame.spec.degrees, crops.frame.spec.palette) == ("range", "inferno")
    (crop,) = crops[np.array([0])]
    assert np.ptp(crop[..., 0]) > 200  # a frame's own range
    assert np.abs(crop[..., 0] - crop[..., 2]).max() > 50  # in colour


def test_colour_pictures_among_thermograms_are_left_out(frames: Path) -> None:
    from PIL import Image

    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(frames / "warm" / "smear.png")
    with (frames / "examples.csv").open("a") as stream:
        stream.write("warm/smear.png,warm,9\n")
    examples = read_examples(frames)
    loaded = run_to_end(
        load_examples_steps(examples, estimate_crop_geometry(examples, 32, None), memory_mb=1)
    )
    assert len(loaded.examples) == 32
    assert loaded.unreadable == (
        "warm/smear.png: thermograms and colour pictures are not learned together.",
    )


def test_a_training_tells_warm_from_cool_and_splits_by_patient(
    frames: Path, job: Callable[..., TrainJob]
) -> None:
    outcome = train(job(source=frames, epochs=3))
    assert outcome.figures["validation"]["accuracy"]["value"] == 1.0
    with (outcome.folder / "split.csv").open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    parts: dict[str, set[str]] = {}
    for row in rows:
        parts.setdefault(row["group"], set()).add(row["part"])
    assert len(parts) == 16
    assert all(len(found) == 1 for found in parts.values())
    patients = read_results(outcome.folder).figures.by_group
    assert patients.n == len({row["group"] for row in rows if row["part"] == "validation"})
    assert patients.binary.auc.value == 1.0
    assert json.loads((outcome.folder / "run.json").read_text())["pictures"] == "thermograms"
