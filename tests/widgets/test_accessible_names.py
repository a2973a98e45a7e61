"""Every control has a name that a screen reader can say, and can be reached with Tab."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QGroupBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QProgressBar,
    QSlider,
    QWidget,
)

from napari_hemacells.core.detect import cells_from_labels
from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.background.tasks import BackgroundTasks

CONTROLS = (
    QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox, QSlider, QAbstractItemView,
    QProgressBar,
)  # fmt: skip
SIGNS = "◂▸↶↓↑ "  # no words, but for the eye


@pytest.fixture
def roots(qtbot, tmp_path, monkeypatch):
    """The dock and the docks that come with the first cells."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(BackgroundTasks, "embed", lambda *_: None)
    viewer = ViewerModel()
    dock = HemaCellsWidget(viewer)
    qtbot.addWidget(dock)
    viewer.add_image(np.full((60, 80, 3), 200, np.uint8), name="smear")
    labels = np.zeros((60, 80), int)
    labels[10:30, 10:30], labels[30:50, 50:70] = 1, 2
    dock.session.set_cells(cells_from_labels(labels, labels.shape))
    yield [dock, dock.gallery, dock.map, dock.light_table]
    dock.controller.close()


def controls(roots):
    for root in roots:
        for widget in root.findChildren(QWidget):
            inside = isinstance(widget.parent(), QAbstractSpinBox | QComboBox | QAbstractItemView)
            popup = widget.window() is not root
            if isinstance(widget, CONTROLS) and not (inside or popup or is_part(widget)):
                yield widget


def is_part(widget: QWidget) -> bool:
    """Whether it is a part of a list or table, which Qt names itself."""
    return isinstance(widget, QHeaderView) or "CornerButton" in type(widget).__name__


def test_every_control_has_a_name(roots):
    buddies = {label.buddy() for root in roots for label in root.findChildren(QLabel)}
    nameless = []
    for widget in controls(roots):
        named = bool(widget.accessibleName()) or widget in buddies
        if isinstance(widget, QAbstractButton):
            # A button without any text yet is hidden, and gets its text with its use.
            named = named or bool(widget.text().strip(SIGNS)) or not widget.text()
        elif isinstance(widget, QGroupBox):
            named = named or bool(widget.title())
        if not named:
            nameless.append((type(widget).__name__, widget.toolTip(), type(widget.parent())))
    assert nameless == []


def test_every_control_is_reached_by_the_keyboard(roots):
    unreached = [
        (type(widget).__name__, widget.toolTip())
        for widget in controls(roots)
        if not isinstance(widget, QProgressBar)
        and not widget.focusPolicy() & Qt.FocusPolicy.TabFocus
    ]
    assert unreached == []
