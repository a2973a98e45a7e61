"""The least widths of the dock's parts: with napari's own docks they fit a window of 1,100."""

import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication, QStyle

from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.dock_view import MIN_WIDTH
from napari_hemacells.widgets.step_header import STEPS

CONTROLS = 320  # napari's layer controls
WINDOW = 1100
HANDLES = 40  # between the docks, and beside a dock's title


@pytest.fixture
def dock(qtbot, session):
    """A dock on a session of many classes with long names."""
    widget = HemaCellsWidget(ViewerModel(), session=session)
    qtbot.addWidget(widget)
    for number in range(12):
        session.add_class(f"Granulocyte, {number} segments")
    yield widget
    widget.controller.close()


def width(widget) -> int:
    return widget.minimumSizeHint().width()


@pytest.mark.parametrize("part", ["gallery", "map"])
def test_what_stands_below_the_canvas_can_be_narrow(dock, part):
    dock.controller._add_gallery()
    assert CONTROLS + MIN_WIDTH + width(getattr(dock, part)) + HANDLES <= WINDOW


def test_the_classes_on_the_map_take_more_lines_where_it_is_narrow(qtbot, dock):
    dock.controller._add_gallery()
    dock.map.resize(300, 700)
    dock.map.show()
    buttons = [dock.map.classes.itemAt(at).widget() for at in range(dock.map.classes.count())]
    assert len(buttons) == 15
    assert all(button.geometry().right() < 300 for button in buttons)
    assert len({button.y() for button in buttons}) > 3


@pytest.mark.parametrize("folders", [False, True])
def test_every_page_fits_the_dock_beside_its_scroll_bar(dock, folders):
    style = QApplication.style()
    bar = style.pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
    dock.finetune.form.more.setChecked(True)
    dock.finetune.result.show()
    dock.finetune.show_source("class folders" if folders else "")
    pages = {step: dock.panel(step) for step in STEPS} | {"finetune": dock.finetune}
    wide = {
        name: width(page)
        for name, page in pages.items()
        if width(page) > MIN_WIDTH - bar - 2 * dock.layout().contentsMargins().left()
    }
    assert wide == {}


def test_the_dock_is_as_wide_as_it_says_on_every_page(dock):
    for step in STEPS:
        dock.show_step(step)
        assert width(dock) <= MIN_WIDTH
    dock.show_step("classify")
    dock.show_finetuning(opened=True)
    assert width(dock) <= MIN_WIDTH
