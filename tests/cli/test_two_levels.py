"""Classes within kinds on the command line: nested folders, a table of classes, both figures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import openpyxl
import pandas as pd
import pytest
from PIL import Image

from napari_hemacells.core.classify import HierarchicalHead
from napari_hemacells.core.store import load_bundle

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("colour_encoder")
COLOURS = {
    "lymphocyte/healthy": (90, 40, 150),
    "lymphocyte/abnormal": (120, 60, 150),
    "platelet": (200, 80, 90),
}


def picture(colour: tuple[int, int, int], seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).normal(0, 6, (32, 32, 3))
    pixels = np.full((32, 32, 3), 230.0)
    pixels[8:24, 8:24] = colour
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    folder = tmp_path / "nested"
    for place, (name, colour) in enumerate(COLOURS.items()):
        (folder / name).mkdir(parents=True)
        for seed in range(6):
            picture(colour, 10 * place + seed).save(folder / name / f"{place}{seed}.png")
    return folder


@pytest.fixture
def flat(nested: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "flat"
    folder.mkdir()
    for name in COLOURS:
        (nested / name).rename(folder / name.split("/")[-1])
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "classes.csv"
    file.write_text(
        "class,parent,colour,key\nhealthy,lymphocyte,#112233,4\nabnormal,lymphocyte,,\n"
        "smudge,lymphocyte,,\n"
    )
    return file


def run(hemacells, *arguments):
    made = hemacells(*arguments)
    assert made.exit_code == 0, made.output
    return made


def test_nested_folders_give_a_model_of_two_levels(hemacells, nested, tmp_path):
    made = run(
        hemacells,
        "fit",
        nested,
        "--two-levels",
        "--out",
        tmp_path / "m",
        f"--json={tmp_path / 'j'}",
    )
    assert "lymphocyte ▸ abnormal 6" in made.output
    bundle = load_bundle(tmp_path / "m")
    assert [one.name for one in bundle.palette] == [
        "lymphocyte", "abnormal", "healthy", "platelet",
    ]  # fmt: skip
    assert isinstance(bundle.head, HierarchicalHead)
    assert json.loads((tmp_path / "j").read_text())["kinds"] == {"lymphocyte": 12, "platelet": 6}


def test_without_the_option_nested_folders_are_one_class(hemacells, nested, tmp_path):
    run(hemacells, "fit", nested, "--out", tmp_path / "m", f"--json={tmp_path / 'j'}")
    assert [one.name for one in load_bundle(tmp_path / "m").palette] == ["lymphocyte", "platelet"]
    assert "kinds" not in json.loads((tmp_path / "j").read_text())


def test_a_table_says_which_class_is_within_which(hemacells, flat, table, tmp_path):
    run(hemacells, "fit", flat, "--parents", table, "--out", tmp_path / "m")
    palette = load_bundle(tmp_path / "m").palette
    healthy = palette.by_name("healthy")
    assert palette.by_id(healthy.parent).name == "lymphocyte"
    assert (healthy.colour, healthy.key) == ("#112233", 4)
    assert palette.by_name("smudge") is None  # has no pictures
    assert isinstance(load_bundle(tmp_path / "m").head, HierarchicalHead)


def test_both_options_at_once_are_refused(hemacells, nested, table, tmp_path):
    made = hemacells("fit", nested, "--two-levels", "--parents", table, "--out", tmp_path / "m")
    assert made.exit_code == 2
    assert "leave one out" in " ".join(made.output.replace("│", " ").split())


def test_whole_pictures_are_classified_at_both_levels(hemacells, nested, tmp_path):
    run(hemacells, "fit", nested, "--two-levels", "--out", tmp_path / "m")
    run(
        hemacells, "classify", "--whole", nested, "--model", tmp_path / "m",
        "--out", tmp_path / "o", f"--json={tmp_path / 'j'}",
    )  # fmt: skip
    cells = pd.read_csv(tmp_path / "o" / "cells.csv")
    truth = [name.split("/")[-2] for name in cells["file"]]
    assert cells["predicted"].tolist() == truth
    kinds = ["platelet" if name == "platelet" else "lymphocyte" for name in truth]
    shown = cells["class"] != "(unknown)"
    assert cells["kind"][shown].tolist() == [k for k, s in zip(kinds, shown, strict=True) if s]
    within = cells[["p_healthy", "p_abnormal"]].sum(axis=1)
    sure = np.where(np.array(kinds) == "platelet", cells["p_platelet"], within)
    np.testing.assert_allclose(cells["kind_confidence"], sure, atol=2e-6)
    summary = json.loads((tmp_path / "j").read_text())["summary"]
    assert [one["class"] for one in summary["kinds"]] == ["lymphocyte", "platelet"]
    book = openpyxl.load_workbook(tmp_path / "o" / "cells.xlsx")
    texts = [row[0] for row in book["Summary"].iter_rows(values_only=True)]
    assert any(str(text).startswith("Counts by kind") for text in texts)


def test_detected_cells_are_classified_at_both_levels(hemacells, nested, field, tmp_path):
    run(hemacells, "fit", nested, "--two-levels", "--out", tmp_path / "m")
    run(
        hemacells, "classify", field, "--model", tmp_path / "m", "--out", tmp_path / "o",
        "--cells", field.with_name("field.labels.tif"),
    )  # fmt: skip
    one = pd.read_csv(tmp_path / "o" / "field.cells.csv", keep_default_na=False)
    joint = pd.read_csv(tmp_path / "o" / "cells.csv", keep_default_na=False)
    assert one["kind"].tolist() == joint["kind"].tolist()
    assert set(one["predicted"]) <= {"healthy", "abnormal", "platelet"}
    np.testing.assert_allclose(
        one["kind_confidence"].astype(float), joint["kind_confidence"].astype(float), atol=2e-6
    )


def test_a_model_is_measured_at_both_levels(hemacells, nested, tmp_path):
    run(hemacells, "fit", nested, "--two-levels", "--out", tmp_path / "m")
    picture(COLOURS["lymphocyte/healthy"], 77).save(nested / "lymphocyte" / "kind-alone.png")
    made = run(
        hemacells, "evaluate", "bundle", tmp_path / "m", nested, "--two-levels",
        f"--json={tmp_path / 'j'}",
    )  # fmt: skip
    assert "within lymphocyte" in made.output
    figures = json.loads((tmp_path / "j").read_text())
    assert figures["n"] == 18
    assert figures["kinds"]["n"] == 19
    assert figures["kinds"]["confusion"]["matrix"] == [[13, 0], [0, 6]]
    assert figures["within"]["lymphocyte"]["accuracy"]["value"] == 1.0
    assert figures["left_out"] == {}


def test_class_folders_of_kinds_alone_are_measured(hemacells, nested, tmp_path):
    run(hemacells, "fit", nested, "--two-levels", "--out", tmp_path / "m")
    run(
        hemacells, "evaluate", "bundle", tmp_path / "m", nested, f"--json={tmp_path / 'j'}"
    )  # its folders without the option: lymphocyte and platelet
    figures = json.loads((tmp_path / "j").read_text())
    assert (figures["n"], figures["kinds"]["n"]) == (6, 18)


def test_classes_are_read_from_file_names(hemacells, flat, tmp_path):
    run(hemacells, "fit", flat, "--out", tmp_path / "m")
    for place, name in enumerate(("healthy", "abnormal", "platelet")):
        for file in sorted((flat / name).iterdir()):
            file.rename(flat / f"{name}_{place}{file.name}")
        (flat / name).rmdir()
    pattern = "--label-pattern=^([a-z]+)_"
    run(hemacells, "evaluate", "bundle", tmp_path / "m", flat, pattern, f"--json={tmp_path / 'j'}")
    figures = json.loads((tmp_path / "j").read_text())
    assert (figures["n"], figures["accuracy"]["value"]) == (18, 1.0)
    assert "kinds" not in figures


def test_few_shots_are_measured_at_both_levels(hemacells, flat, table, tmp_path):
    made = run(
        hemacells, "evaluate", "fewshot", flat, "--shots=2", "--repeats=3", "--parents", table,
        f"--json={tmp_path / 'j'}",
    )  # fmt: skip
    assert "Kind, and class within it" in made.output
    levels = json.loads((tmp_path / "j").read_text())["shots"]["2"]["levels"]
    assert set(levels) == {"kind", "within"}
    assert levels["kind"]["balanced_accuracy"] > 0.9
    run(
        hemacells, "evaluate", "fewshot", flat, "--shots=2", "--repeats=1",
        f"--json={tmp_path / 'j'}",
    )  # fmt: skip
    assert "levels" not in json.loads((tmp_path / "j").read_text())["shots"]["2"]
