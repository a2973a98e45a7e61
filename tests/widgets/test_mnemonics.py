"""Alt and a letter mean one thing: in each step, beside napari's own menus."""

from __future__ import annotations

import re

import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QAbstractButton, QGroupBox, QLabel, QToolButton, QWidget

from made_up import make_cells, make_image
from napari_hemacells.core.store import Project
from napari_hemacells.samples.thermogram import synthetic_thermogram
from napari_hemacells.thermal import thermal_layer
from napari_hemacells.widgets import HemaCellsWidget

MENUS = set("FVLPWH")  # File, View, Layers, Plugins, Window, Help


def mnemonics(*parts: QWidget) -> dict[str, list[str]]:
    """What is shown under each letter."""
    found: dict[str, list[str]] = {}
    for part in parts:
        for widget in part.findChildren(QWidget):
            if isinstance(widget, QGroupBox):
                text = widget.title()
            elif isinstance(widget, QAbstractButton) or (
                isinstance(widget, QLabel) and widget.buddy() is not None
            ):
                text = widget.text()
            else:
                continue
            letter = re.search(r"&([^&])", text.replace("&&", ""))
            if letter and widget.isVisibleTo(part):
                found.setdefault(letter[1].upper(), []).append(text)
    return found


@pytest.fixture
def dock(qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    dock = HemaCellsWidget(ViewerModel())
    qtbot.addWidget(dock)
    dock.session.use_project(Project.create(tmp_path / "project"))
    dock.session.show_image(make_image())
    dock.session.set_cells(make_cells(12))
    yield dock
    dock.controller.close()


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("step", ["detect", "annotate", "classify", "fine-tuning", "export"])
def test_no_letter_means_two_things(dock, step, opened):
    dock.controller.show_step("classify" if step == "fine-tuning" else step)
    if step == "fine-tuning":
        dock.controller.finetune_controller.open()
    for button in dock.pages.currentWidget().findChildren(QToolButton):
        if button.isCheckable():
            button.setChecked(opened)
    dock.messages.progress(1, 2, "Busy")
    found = mnemonics(dock, dock.gallery, dock.map)
    assert {letter: texts for letter, texts in found.items() if len(texts) > 1} == {}
    assert MENUS & set(found) == set()
    assert set("DAC") <= set(found)


def test_nor_does_one_of_a_thermogram(qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    viewer = ViewerModel()
    celsius, about, _ = thermal_layer(synthetic_thermogram(3).celsius, "exam")
    viewer.add_image(celsius, **about)
    dock = HemaCellsWidget(viewer)
    qtbot.addWidget(dock)
    found = mnemonics(dock)
    assert {letter: texts for letter, texts in found.items() if len(texts) > 1} == {}
    assert {"R", "M"} <= set(found)
    dock.controller.close()
