"""``classify --whole --workers``: portions, joined; the same table as of one process."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_hemacells.cli import whole_workers
from napari_hemacells.cli.whole_workers import (
    PortionJob,
    PortionResult,
    PortionWorker,
    classify_in_processes_steps,
    join_predictions,
)
from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.params import NetworkParams
from napari_hemacells.core.pictures import CellPictures
from napari_hemacells.core.store import classify_pictures_steps, load_bundle
from napari_hemacells.core.types import Prediction
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def job(hemacells, colour_encoder, crops_folder: Path, tmp_path: Path) -> PortionJob:
    made = hemacells("fit", crops_folder, "--out", tmp_path / "model")
    assert made.exit_code == 0, made.output
    (crops_folder / "red" / "broken.png").write_bytes(b"no picture")
    pictures, bundle = CellPictures.open(crops_folder), load_bundle(tmp_path / "model")
    return PortionJob(pictures, bundle, NetworkParams(device="cpu"), None, tmp_path / "vectors")


def in_this_process(job, portions, workers):
    """Run the portions here, the last one first."""
    worker = PortionWorker(pickle.loads(pickle.dumps(job)))  # noqa: S301  # made here
    for place in reversed(range(len(portions))):
        yield place, worker.classify(portions[place])


def test_portions_give_the_same_as_one_process(job, monkeypatch):
    alone = run_to_end(classify_pictures_steps(job.pictures, job.bundle, job.load_encoder()))
    job.pictures.unreadable.clear()
    monkeypatch.setattr(whole_workers, "PORTION", 4)
    monkeypatch.setattr(whole_workers, "_finished", in_this_process)
    shared = run_to_end(classify_in_processes_steps(job, 2))
    np.testing.assert_array_equal(shared.ids, alone.ids)
    np.testing.assert_allclose(shared.probabilities, alone.probabilities, atol=1e-6)
    np.testing.assert_array_equal(shared.is_unknown, alone.is_unknown)
    assert len(job.pictures.unreadable) == 1


def test_a_portion_without_a_readable_picture_is_left_out():
    prediction = Prediction(np.array([7]), ("a", "b"), np.array([[0.2, 0.8]], np.float32))
    results = [PortionResult(None, {1: "broken"}), PortionResult(prediction, {})]
    assert join_predictions(results).ids.tolist() == [7]
    with pytest.raises(ImageError, match="broken"):
        join_predictions(results[:1])


@pytest.mark.slow
def test_real_processes_write_the_same_table(hemacells, tmp_path: Path):
    rng = np.random.default_rng(0)
    for name, colour in (("pale", 200), ("dark", 80)):
        (tmp_path / "crops" / name).mkdir(parents=True)
        for number in range(4):
            pixels = rng.normal(colour, 8, (40, 40, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "crops" / name / f"{number}.png")
    made = hemacells("fit", tmp_path / "crops", "--out", tmp_path / "model")
    assert made.exit_code == 0, made.output
    tables = []
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        done = hemacells(
            "classify", "--whole", tmp_path / "crops", "--model", tmp_path / "model",
            "--out", out, "--workers", workers,
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        tables.append(pd.read_csv(out / "cells.csv"))
    pd.testing.assert_frame_equal(*tables, atol=1e-4)
