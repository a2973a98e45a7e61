"""Panels are laid out at once when their words have changed."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_hemacells.widgets.theme import settle_layouts


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
