"""Text is read in both themes of napari; panels are laid out at once when words have changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.theme import get_theme
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

import napari_hemacells.widgets
from made_up import make_cells, make_image
from napari_hemacells.core.annotate.palette import CLASS_COLOURS, UNKNOWN_COLOUR
from napari_hemacells.core.store import Project
from napari_hemacells.layers import DISPLAY_MODES
from napari_hemacells.widgets import HemaCellsWidget, theme
from napari_hemacells.widgets.finetune.results import shade
from napari_hemacells.widgets.message_bar import MessageBar
from napari_hemacells.widgets.palette.view import TINT
from napari_hemacells.widgets.theme import settle_layouts

ROLES = ("background", "foreground", "primary", "secondary", "highlight", "text", "current",
         "warning", "error")  # fmt: skip


@pytest.fixture(params=["dark", "light"])
def of_napari(request):
    """One of napari's two themes, in use."""
    settings = get_settings().appearance
    before = settings.theme
    settings.theme = request.param
    yield request.param
    settings.theme = before


def over(front: QColor, alpha: float, back: QColor) -> QColor:
    """What is seen of a translucent colour on another."""
    mixed = (alpha * f + (1 - alpha) * b for f, b in zip(front.getRgb()[:3], back.getRgb()[:3],
                                                         strict=True))  # fmt: skip
    return QColor(*(round(value) for value in mixed))


def test_contrast_is_that_of_wcag():
    black, white, grey = QColor("black"), QColor("white"), QColor("#767676")
    assert theme.contrast(black, white) == pytest.approx(21)
    assert theme.contrast(grey, white) == pytest.approx(4.54, abs=0.01)
    assert theme.contrast(white, grey) == theme.contrast(grey, white)


@pytest.mark.parametrize("role", ROLES)
def test_every_colour_of_the_theme_can_be_read_as_text(of_napari, role):
    text = QColor(theme.text_css(role))
    for back in ("background", "foreground"):
        assert theme.contrast(text, theme.colour(back)) >= 4.5


def test_what_is_read_already_is_left_alone(of_napari):
    assert theme.text_css("text") == theme.css("text")


def test_muted_text_is_read(of_napari):
    assert theme.contrast(theme.muted(), theme.colour("background")) >= 4.5
    assert theme.muted() != theme.colour("text")


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_messages_are_read(of_napari, qtbot, level):
    bar = MessageBar()
    qtbot.addWidget(bar)
    bar.say("This image cannot be used.", level)
    sheet = bar.findChild(QLabel).styleSheet()
    named = re.search(r"color: (#\w{6})", sheet)
    assert (named is None) == (level == "info")
    if named is not None:
        assert theme.contrast(QColor(named[1]), theme.colour("background")) >= 4.5


@pytest.mark.parametrize("colour", [*CLASS_COLOURS, UNKNOWN_COLOUR, "#000000", "#ffffff"])
def test_text_on_a_class_colour_is_read(of_napari, colour):
    cell_class = QColor(colour)
    assert theme.contrast(theme.ink_on(cell_class), cell_class) >= 4.5
    back, text = theme.colour("background"), theme.colour("text")
    assert theme.contrast(text, over(cell_class, TINT / 255, back)) >= 4.5


@pytest.mark.parametrize("role", ["current", "error"])
def test_the_numbers_of_the_confusion_matrix_are_read(of_napari, role):
    back, text = theme.colour("background"), theme.colour("text")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        cell = shade(theme.colour(role), share)
        assert theme.contrast(text, over(cell, cell.alphaF(), back)) >= 4.5


def test_class_colours_are_seen_on_dark():
    back = QColor(get_theme("dark").background.as_hex(format="long"))
    for colour in CLASS_COLOURS:
        assert theme.contrast(QColor(colour), back) >= 3.0


def test_every_style_sheet_of_the_dock_is_read(of_napari, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    dock = HemaCellsWidget(ViewerModel())
    qtbot.addWidget(dock)
    dock.session.use_project(Project.create(tmp_path / "project"))
    dock.session.show_image(make_image())
    dock.session.set_cells(make_cells(12))
    dock.restyle()
    checked = 0
    for widget in (dock, *dock.findChildren(QWidget), dock.gallery, dock.map):
        sheet = widget.styleSheet()
        rules = re.findall(r"[^{}]*\{([^{}]*)\}", sheet) or [sheet]
        for rule in rules:
            back = re.search(r"background(?:-color)?: (#\w{6})", rule)
            text = re.search(r"(?<![\w-])color: (#\w{6})", rule)
            if text is not None:
                behind = QColor(back[1]) if back else theme.colour("background")
                assert theme.contrast(QColor(text[1]), behind) >= 4.5, (widget, rule)
                checked += 1
    assert checked > 10
    dock.controller.close()


def test_no_colour_of_the_theme_is_text_as_it_is():
    """``css`` is for borders; text has ``text_css`` or the theme's own text colour."""
    folder = Path(napari_hemacells.widgets.__file__).parent
    wrong = [
        (file.name, found)
        for file in folder.rglob("*.py")
        for found in re.findall(
            r"(?<![\w-])color: \{theme\.css\(.(\w+).\)", file.read_text(encoding="utf-8")
        )
        if found != "text"
    ]
    assert wrong == []


def test_the_confidence_has_a_legend(of_napari, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    dock = HemaCellsWidget(ViewerModel())
    qtbot.addWidget(dock)
    panel = dock.classify
    for mode in DISPLAY_MODES:
        dock.controller.canvas.show_mode(mode)
        assert panel.legend.isHidden() == (mode != "confidence")
    assert [label.text() for label in panel.legend.labels] == [
        "0 % unsure", "50 %", "100 % sure, or yours"]  # fmt: skip
    first, last = panel.legend.bar.colours[0], panel.legend.bar.colours[-1]
    assert first.lightnessF() < last.lightnessF()
    panel.legend.bar.resize(64, 12)
    picture = panel.legend.bar.grab().toImage()
    seen = picture.pixelColor(picture.width() - 1, 5)
    assert max(abs(a - b) for a, b in zip(seen.getRgb(), last.getRgb(), strict=True)) < 12
    dock.controller.close()


def test_a_longer_text_has_its_place_at_once_however_deep_it_lies(qtbot):
    outer, inner, label = QWidget(), QWidget(), QLabel("short")
    QVBoxLayout(outer).addWidget(inner)
    row = QHBoxLayout(inner)
    row.addWidget(label)
    row.addStretch(1)
    qtbot.addWidget(outer)
    outer.resize(600, 60)
    with qtbot.waitExposed(outer):
        outer.show()
    before = label.width()
    label.setText("a much longer text than before")
    assert label.width() == before
    settle_layouts()
    assert label.width() > 2 * before
    assert label.width() == label.sizeHint().width()


def test_the_dock_follows_a_theme_that_only_its_viewer_has(qtbot, tmp_path, monkeypatch):
    """Ctrl+Shift+T changes the viewer, not the settings."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    settings, viewer = get_settings().appearance, ViewerModel()
    before = settings.theme
    dock = HemaCellsWidget(viewer)
    qtbot.addWidget(dock)
    try:
        for name in ("light", "dark"):
            viewer.theme = name
            back = QColor(get_theme(name).background.as_hex())
            for label in (dock.pointed_at, dock.place._label):
                text = QColor(re.search(r"color: (#[0-9a-f]{6})", label.styleSheet())[1])
                assert theme.contrast(text, back) >= 4.5
        assert settings.theme == before
    finally:
        theme.follow_viewer("")
        dock.controller.close()
