"""Results of a training made elsewhere, opened: lists of each class, heat, curve and bars."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt

from napari_hemacells.core.evaluate.classification_metrics import compute_classification_metrics
from napari_hemacells.core.train.classifier.artifacts import write_csv, write_json
from napari_hemacells.widgets.finetune import opened_results
from napari_hemacells.widgets.finetune.opened_results import ResultsPage
from napari_hemacells.widgets.finetune.panel import FineTunePanel
from napari_hemacells.widgets.finetune.results import MATRIX

CLASSES = ("lymphocyte", "monocyte")
WAIT = 60_000


@pytest.fixture
def panel(qtbot):
    panel = FineTunePanel()
    qtbot.addWidget(panel)
    return panel


@pytest.fixture
def page(session, panel):
    page = ResultsPage(session, panel)
    yield page
    page.close()


@pytest.fixture
def folder(tmp_path):
    """What ``hemacells train`` leaves of six pictures of class folders."""
    folder = tmp_path / "run"
    folder.mkdir()
    rows, split, truth, told = [], [], [], []
    for place, sure in enumerate((0.9, 0.6, 0.2, 0.8, 0.55, 0.7)):
        given = CLASSES[place // 3]
        shares = (sure, 1 - sure) if place < 3 else (1 - sure, sure)
        name = f"{given}/{place}.png"
        file = tmp_path / f"{place}.png"
        Image.fromarray(np.full((20, 20, 3), 40 * place, np.uint8)).save(file)
        said = CLASSES[int(np.argmax(shares))]
        rows.append((name, str(file), given, said, max(shares), -np.log(sure), *shares))
        split.append((name, given, "", "", "validation"))
        split.append((f"{given}/t{place}.png", given, "", "", "train"))
        truth.append(place // 3)
        told.append(shares)
    heading = ("name", "path", "label", "predicted", "confidence", "loss")
    write_csv(folder / "validation.csv", (*heading, *(f"p_{one}" for one in CLASSES)), rows)
    write_csv(folder / "split.csv", ("path", "label", "group", "digest", "part"), split)
    metrics = compute_classification_metrics(np.array(truth), np.array(told), CLASSES)
    write_json(folder / "figures.json", {"validation": metrics})
    frame = {"size": 16, "context": 1.5, "framing": 1.0}
    write_json(folder / "run.json", {"counts": {"a": 6}, "notes": [], "frame": frame})
    write_csv(
        folder / "rate_finder.csv", ("rate", "loss"), [(1e-5, 1.0), (1e-3, 0.4), (1e-1, 3.0)]
    )
    (folder / "rate_finder.json").write_text(json.dumps({"suggestion": 1e-3, "taken": 2e-3}))
    return folder


@pytest.fixture
def opened(page, panel, folder, qtbot):
    page.open(folder)
    qtbot.waitUntil(lambda: panel.result.isVisibleTo(panel), timeout=WAIT)
    return panel.result


def shown(result) -> list[str]:
    role = Qt.ItemDataRole.UserRole
    return [result.crops.item(row).data(role) for row in range(result.crops.count())]


def test_results_of_the_command_are_shown(opened):
    assert "6 held-out cells" in opened.figures.text()
    assert opened.matrix.item(0, 1).text() == "1"
    opened.choose("lymphocyte", "monocyte")
    assert opened.list.currentData() == MATRIX
    assert len(shown(opened)) == 1
    assert not opened.review.isEnabled()  # pictures are no cells of a project


def test_model_folder_means_its_training(page, panel, folder, qtbot):
    (folder / "model").mkdir()
    page.open(folder / "model")
    qtbot.waitUntil(lambda: panel.result.isVisibleTo(panel), timeout=WAIT)


def test_other_folder_is_refused_in_words(page, tmp_path, qtbot):
    with qtbot.waitSignal(page.warning_emitted, timeout=WAIT) as told:
        page.open(tmp_path)
    assert "holds no finished training" in told.args[0]


def test_lists_of_one_class_are_its_worst_best_and_uncertain(opened):
    opened.of_class.setCurrentText("lymphocyte")
    opened.show_list("losses")
    assert [name[-1] for name in shown(opened)] == ["2", "1", "0"]
    opened.show_list("wrong")
    assert [name[-1] for name in shown(opened)] == ["2"]
    opened.of_class.setCurrentIndex(0)
    assert len(shown(opened)) == 1
    opened.show_list("losses")
    assert len(shown(opened)) == 6


def test_class_balance_and_rate_search_are_drawn(opened):
    charts = opened.charts
    assert charts.balance.parts["train"] == {"lymphocyte": 3, "monocyte": 3}
    bars, curve = charts.figure.axes
    assert bars.get_title(loc="left") == "Pictures of each class"
    assert [text.get_text().strip() for text in bars.texts] == ["6", "6"]
    assert curve.get_xscale() == "log"
    assert len(curve.lines) == 3  # the curve, the suggested rate, and the one taken


def test_heat_maps_replace_the_crops_and_are_kept(opened, page, monkeypatch, qtbot):
    asked = []

    def steps(results, items):
        asked.append(len(items))
        yield None
        heat = {item.name: np.full((16, 16, 3), 200, np.uint8) for item in items}
        return results.folder, heat, {item.name: item.key for item in items}

    monkeypatch.setattr(opened_results, "_heat_steps", steps)
    opened.show_list("losses")
    opened.heat.setChecked(True)

    def grey():  # a screen of 16 bits, as the tests may have, keeps no 200
        picture = opened.crops.item(0).icon().pixmap(16, 16).toImage()
        return picture.pixelColor(8, 8).red()

    qtbot.waitUntil(lambda: not page.jobs.running("heat"), timeout=WAIT)
    assert opened.heat.isChecked()
    assert abs(grey() - 200) <= 8
    opened.show_list("right")
    opened.show_list("losses")
    assert abs(grey() - 200) <= 8
    assert asked[0] == 6
    opened.heat.setChecked(False)
    assert abs(grey() - 200) > 8


def test_heat_without_a_model_is_said_and_the_tick_goes(opened, page, qtbot):
    opened.show_list("losses")
    with qtbot.waitSignal(page.warning_emitted, timeout=WAIT):
        opened.heat.setChecked(True)
    assert not opened.heat.isChecked()
