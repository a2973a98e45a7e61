"""Two sizes of cells fit a picture: the panel offers the other one."""

from __future__ import annotations

from dataclasses import replace

from made_up import make_cells, make_image
from napari_hemacells.widgets.detect.panel import DetectPanel


def test_the_other_size_is_offered_and_detected_with(qtbot):
    panel = DetectPanel()
    qtbot.addWidget(panel)
    panel.set_choices([], [])
    image = make_image()
    panel.show_result(make_cells(), image)
    assert panel.other_size.isHidden()
    panel.show_result(replace(make_cells(), other_diameter=133.4), image)
    assert not panel.other_size.isHidden()
    assert "133 px" in panel.other_size.text()
    panel.other_size.click()
    assert panel.request() is None or panel.request().params.cell_diameter == 133.0
    panel.show_result(None, image)
    assert panel.other_size.isHidden()
