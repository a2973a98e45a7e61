"""Stacks on the command line: the plane that was chosen is worked on, and said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_hemacells.cli import train_classifier
from napari_hemacells.cli.adapt import gather_source
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.evaluate.detection_datasets import AnnotatedField
from napari_hemacells.core.evaluate.detection_metrics import Boxes
from napari_hemacells.core.image.plane_selection import PlaneSelection
from napari_hemacells.core.train.classifier.report.galleries import ReportCrops
from napari_hemacells.core.train.classifier.results import read_run
from napari_hemacells.core.train.detector.project_dataset import load_annotated_fields_steps
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from pathlib import Path


def draw_discs(count: int) -> np.ndarray:
    """Red discs of 40 px on glass, in a row."""
    rows, cols = np.indices((80, 320))
    pixels = np.full((80, 320, 3), (235, 228, 232), np.float64)
    for place in range(count):
        pixels[np.hypot(rows - 40, cols - 40 - 80 * place) <= 20] = (205, 110, 115)
    noisy = pixels + np.random.default_rng(count).normal(0, 3, pixels.shape)
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Three planes with 1, 2 and 4 red cells."""
    planes = np.stack([draw_discs(count) for count in (1, 2, 4)])
    file = tmp_path / "stack.ome.tif"
    tifffile.imwrite(file, planes, photometric="rgb", ome=True, metadata={"axes": "ZYXS"})
    return file


def detected(result, target: Path) -> dict:
    assert result.exit_code == 0, result.output
    return json.loads(target.read_text())["images"][0]


@pytest.mark.parametrize(("plane", "cells"), [("1", 1), ("2", 2), ("z=3", 4)])
def test_detect_finds_the_cells_of_the_plane(hemacells, stack, tmp_path, plane, cells):
    result = hemacells(
        "detect", stack, "--plane", plane, "--method", "classical", "--cell-diameter", "40",
        "--out", tmp_path / "out", "--json", tmp_path / "r.json",
    )  # fmt: skip
    record = detected(result, tmp_path / "r.json")
    number = plane.removeprefix("z=")
    sentence = f"The plane Z={number} of 3 is read, counted from 1."
    assert record["cells"] == cells
    assert sentence in record["notes"]
    assert sentence in result.output


def test_without_a_plane_the_sentence_names_the_option(hemacells, stack, tmp_path):
    result = hemacells("detect", stack, "--out", tmp_path / "out")
    assert result.exit_code == 3
    assert "--plane NUMBER (1 to 3)" in result.output
    result = hemacells("detect", stack, "--out", tmp_path / "out", "--plane", "4")
    assert "3 planes" in result.output
    result = hemacells("detect", stack, "--out", tmp_path / "out", "--plane", "last")
    assert result.exit_code == 2
    assert "a plane is a number from 1 on" in result.output


def test_another_plane_is_not_done_before(hemacells, stack, tmp_path):
    for plane, before in (("1", False), ("1", True), ("2", False)):
        result = hemacells(
            "detect", stack, "--plane", plane, "--method", "classical", "--skip-done",
            "--out", tmp_path / "out",
        )  # fmt: skip
        assert ("done before" in result.output) is before


def test_plane_and_channels_in_every_command(hemacells, colour_encoder, tmp_path):
    """Crops whose second plane alone tells the classes apart, with the colours in odd channels."""
    random = np.random.default_rng(0)
    for name, colour in (("red", (200, 80, 90)), ("violet", (90, 40, 150))):
        (tmp_path / "crops" / name).mkdir(parents=True)
        for number in range(12):
            picture = np.full((2, 5, 32, 32), 120.0)  # t, c, rows, columns
            picture[1, [4, 2, 0]] = np.array(colour).reshape(3, 1, 1)
            noisy = (picture + random.normal(0, 3, picture.shape)).clip(0, 255).astype(np.uint8)
            tifffile.imwrite(
                tmp_path / "crops" / name / f"{number}.ome.tif", noisy, ome=True,
                metadata={"axes": "TCYX"}, photometric="minisblack",
            )  # fmt: skip
    choice = ("--plane", "t=2", "--channels", "5,3,1")
    refused = hemacells("fit", tmp_path / "crops", "--out", tmp_path / "model")
    assert "--plane" in refused.output
    made = hemacells(
        "fit", tmp_path / "crops", "--out", tmp_path / "model", *choice, "--measured",
        "--json", tmp_path / "fit.json",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    record = json.loads((tmp_path / "fit.json").read_text())
    assert (record["plane"], record["channels"]) == ("t=2", [5, 3, 1])
    assert "the plane t=2 is read" in made.output
    other = hemacells(
        "evaluate", "bundle", tmp_path / "model", tmp_path / "crops", *choice,
        "--json", tmp_path / "bundle.json",
    )  # fmt: skip
    assert other.exit_code == 0, other.output
    record = json.loads((tmp_path / "bundle.json").read_text())
    assert record["accuracy"]["value"] == 1.0
    assert record["plane"] == "t=2"
    shots = hemacells(
        "evaluate", "fewshot", tmp_path / "crops", *choice, "--shots", "2", "--repeats", "3",
        "--json", tmp_path / "shots.json",
    )  # fmt: skip
    assert shots.exit_code == 0, shots.output
    record = json.loads((tmp_path / "shots.json").read_text())
    assert record["shots"]["2"]["balanced_accuracy"] == 1.0
    assert record["plane"] == "t=2"
    blind = hemacells(
        "evaluate", "fewshot", tmp_path / "crops", "--plane", "1", "--channels", "5,3,1",
        "--shots", "2", "--repeats", "3", "--json", tmp_path / "blind.json",
    )  # fmt: skip
    assert blind.exit_code == 0, blind.output  # the first plane shows nothing, from no cache
    assert (
        json.loads((tmp_path / "blind.json").read_text())["shots"]["2"]["balanced_accuracy"] < 0.9
    )
    taken = hemacells(
        "evaluate", "clicks", tmp_path / "crops", *choice, "--clicks", "4", "--repeats", "1",
        "--json", tmp_path / "clicks.json",
    )  # fmt: skip
    assert taken.exit_code == 0, taken.output
    assert json.loads((tmp_path / "clicks.json").read_text())["plane"] == "t=2"


def test_detection_is_evaluated_on_the_plane(hemacells, stack, tmp_path):
    (tmp_path / "stack.ome.txt").write_text("40 40 RBC\n120 40 RBC\n200 40 RBC\n280 40 RBC\n")
    result = hemacells(
        "evaluate", "detection", stack, tmp_path / "stack.ome.txt", "--plane", "3",
        "--method", "classical", "--cell-diameter", "40", "--json", tmp_path / "r.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["plane"] == "3"
    assert record["classes"]["RBC"]["hits"] == 4
    assert "The plane Z=3 of 3 is read" in result.output


def test_one_scale_for_all_images_of_an_evaluation(hemacells, tmp_path):
    """The brighter of two deep images decides the scale of both."""
    (tmp_path / "images").mkdir()
    for name, factor in (("a", 4), ("b", 12)):
        deep = draw_discs(4).astype(np.uint16) * factor
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", deep, photometric="rgb")
        (tmp_path / "images" / f"{name}.txt").write_text("40 40 RBC\n")
    result = hemacells(
        "evaluate", "detection", tmp_path / "images", tmp_path / "images",
        "--method", "classical", "--cell-diameter", "40",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "a.tif and 1 more: 12 bits, guessed from the values of all images together." in (
        result.output
    )


def test_planes_and_single_pictures_in_one_run(hemacells, stack, tmp_path):
    Image.fromarray(draw_discs(3)).save(tmp_path / "single.png")
    result = hemacells(
        "detect", stack, tmp_path / "single.png", "--plane", "3", "--method", "classical",
        "--cell-diameter", "40", "--out", tmp_path / "out", "--json", tmp_path / "r.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    images = json.loads((tmp_path / "r.json").read_text())["images"]
    assert [image["cells"] for image in images] == [4, 3]
    assert images[1]["notes"] == []


@pytest.fixture
def stacked_crops(tmp_path: Path) -> Path:
    """Crops whose second plane alone tells the classes apart, with the colours in odd channels."""
    random = np.random.default_rng(0)
    for name, colour in (("red", (200, 80, 90)), ("violet", (90, 40, 150))):
        (tmp_path / "crops" / name).mkdir(parents=True)
        for number in range(12):
            picture = np.full((2, 5, 32, 32), 120.0)  # t, c, rows, columns
            picture[1, [4, 2, 0]] = np.array(colour).reshape(3, 1, 1)
            noisy = (picture + random.normal(0, 3, picture.shape)).clip(0, 255).astype(np.uint8)
            tifffile.imwrite(
                tmp_path / "crops" / name / f"{number}.ome.tif", noisy, ome=True,
                metadata={"axes": "TCYX"}, photometric="minisblack",
            )  # fmt: skip
    return tmp_path / "crops"


CHOICE = ("--plane", "t=2", "--channels", "5,3,1")


def test_a_network_is_trained_on_the_plane(hemacells, stacked_crops, tmp_path, monkeypatch):
    monkeypatch.setattr(train_classifier, "run_in_child", lambda job, given, threads: job(given))
    small = (
        "--arch", "test_resnet", "--weights", "none", "--size", 32, "--frozen-epochs", 0,
        "--epochs", 10, "--frozen-blocks", 0, "--rate", 0.01, "--lower", 1, "--batch", 8,
        "--device", "cpu", "--tta", 0, "--no-report",
    )  # fmt: skip
    refused = hemacells("train", stacked_crops, "--out", tmp_path / "none", *small)
    assert refused.exit_code == 3
    assert "--plane" in refused.output
    made = hemacells("train", stacked_crops, "--out", tmp_path / "run", *small, *CHOICE)
    assert made.exit_code == 0, made.output
    assert "the plane t=2 is read" in made.output
    figures = json.loads((tmp_path / "run/figures.json").read_text())
    assert figures["validation"]["accuracy"]["value"] == 1.0
    frame = read_run(tmp_path / "run/run.json")["frame"]
    shown = ReportCrops(frame)[stacked_crops / "red/0.ome.tif"]
    np.testing.assert_allclose(shown.mean(axis=(0, 1)), (200, 80, 90), atol=4)


def test_labels_are_checked_on_the_plane(hemacells, stacked_crops, colour_encoder):
    refused = hemacells("check-labels", stacked_crops)
    assert "--plane" in refused.output
    done = hemacells("check-labels", stacked_crops, *CHOICE, "--json", "-")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert (record["flagged"], record["plane"], record["n"]) == (0, "t=2", 24)


def test_an_encoder_and_a_detector_learn_from_the_plane(stacked_crops, stack, tmp_path):
    selection = PlaneSelection.parse("t=2", "5,3,1")
    crops = run_to_end(gather_source(stacked_crops, selection=selection)).crops
    means = crops.mean(axis=(1, 2))
    red = np.abs(means - (200, 80, 90)).max(axis=1) < 4
    violet = np.abs(means - (90, 40, 150)).max(axis=1) < 4
    assert (red.sum(), violet.sum()) == (12, 12)
    images = tmp_path / "images"
    images.mkdir()
    stack.rename(images / stack.name)
    found = run_to_end(gather_source(images, selection=PlaneSelection.parse("3")))
    assert len(found.crops) == 4
    boxes = [[20, 20 + 80 * place, 61, 61 + 80 * place] for place in range(4)]
    field = AnnotatedField(
        images / stack.name, Boxes(np.array(boxes, float), np.array(["RBC"] * 4), np.ones(4))
    )
    learned = run_to_end(load_annotated_fields_steps([field], PlaneSelection.parse("3")))
    assert len(learned.fields[0].boxes) == 4
    assert "--plane" in run_to_error(load_annotated_fields_steps([field]))


def run_to_error(steps) -> str:
    with pytest.raises(TrainingError) as caught:
        run_to_end(steps)
    return str(caught.value)
