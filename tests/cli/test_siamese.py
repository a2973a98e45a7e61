"""``hemacells train siamese`` and ``hemacells evaluate verification``."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_hemacells.cli.app import app
from napari_hemacells.cli.evaluate_verification import repeat_flags
from napari_hemacells.core.classify.verification import Likeness

COLOURS = {
    "blue": (40, 40, 160), "green": (40, 150, 60), "red": (200, 50, 50), "yellow": (210, 200, 60),
}  # fmt: skip


@pytest.fixture(scope="module")
def class_folders(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("classes"), np.random.default_rng(0)
    rows, cols = np.mgrid[:40, :40] - 20
    for name, colour in COLOURS.items():
        (folder / name).mkdir()
        for index in range(6):
            pixels = np.full((40, 40, 3), 230.0)
            pixels[rows**2 + cols**2 < random.uniform(90, 200)] = colour
            pixels = np.clip(pixels + random.normal(0, 6, pixels.shape), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index}.png")
    return folder


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_distance_is_learned_from_class_folders(class_folders, tmp_path):
    file = tmp_path / "told.json"
    result = invoke(
        "train", "siamese", class_folders, "--out", tmp_path / "out", "--encoder", "imagenet",
        "--device", "cpu", "--threads", 1, "--json", file,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    told = json.loads(file.read_text())
    assert told["kinds"] == dict.fromkeys(COLOURS, 6)
    assert told["encoder"] == "imagenet"
    assert told["auroc"] > 0.9
    assert Likeness.load(tmp_path / "out/likeness.safetensors").threshold > 0
    assert (tmp_path / "out/report.html").is_file()
    assert not (tmp_path / "out/training").exists()


def test_new_kinds_are_tested_by_kinds_that_were_learned(class_folders, tmp_path):
    file = tmp_path / "told.json"
    result = invoke(
        "evaluate", "verification", class_folders, "--train-classes", "blue", "green",
        "--test-classes", "red", "yellow", "--per-class", 5, "--repeats", 2, "--json", file,
        "--encoder", "imagenet", "--device", "cpu", "--turns", 1,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    told = json.loads(file.read_text())
    low, high = told["ci95"]
    assert low <= told["accuracy"] <= high
    assert told["auroc"] > 0.9
    assert told["train_classes"] == ["blue", "green"]
    assert told["test_images"] == {"red": 6, "yellow": 6}
    assert "no blood cells" in told["seen"]
    assert set(told["accuracy_by_kinds"]) == {"red – red", "red – yellow", "yellow – yellow"}
    assert "no test of new kinds" in " ".join(result.output.split())


def test_a_network_is_trained_anew_in_each_repeat(class_folders, tmp_path):
    result = invoke(
        "evaluate", "verification", class_folders, "--train-classes", "blue,green",
        "--test-classes", "red,yellow", "--per-class", 6, "--repeats", 1, "--json",
        "--encoder", "imagenet", "--device", "cpu", "--network", "head", "--epochs", 15, "--quiet",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["network"], told["loss"]) == ("head", "contrastive")
    assert told["accuracy"] == told["accuracy_by_repeat"][0]
    assert 0 < told["threshold"] < 2


@pytest.mark.parametrize(
    ("learned", "tested", "words"),
    [
        (["blue", "pink"], ["red", "yellow"], "no class pink"),
        (["blue", "red"], ["red", "yellow"], "red cannot be trained on and tested"),
        (["blue", "green"], ["red"], "two test classes"),
    ],
)
def test_classes_that_do_not_fit_are_told_first(class_folders, learned, tested, words):
    result = invoke(
        "evaluate", "verification", class_folders, "--train-classes", *learned,
        "--test-classes", *tested,
    )  # fmt: skip
    assert result.exit_code == 3
    assert words.lower() in " ".join(result.output.split()).lower()
    result = invoke(
        "evaluate", "verification", class_folders, "--train-classes", "blue", "green",
        "--test-classes", "red", "yellow", "--per-class", 7,
    )  # fmt: skip
    assert "smaller --per-class" in " ".join(result.output.split())


def test_names_end_at_the_next_option():
    given = ["x", "--train-classes", "a", "b", "--test-classes=c", "--repeats", "3"]
    assert repeat_flags(given) == [
        "x", "--train-classes=a", "--train-classes=b", "--test-classes=c", "--repeats", "3",
    ]  # fmt: skip


def test_one_kind_is_too_few(class_folders, tmp_path):
    one = tmp_path / "one"
    (one / "red").mkdir(parents=True)
    for file in (class_folders / "red").iterdir():
        (one / "red" / file.name).write_bytes(file.read_bytes())
    result = invoke("train", "siamese", one, "--out", tmp_path / "out", "--encoder", "imagenet")
    assert result.exit_code == 3
    assert "two kinds" in result.output
