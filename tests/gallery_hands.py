"""What a user does with the gallery, and sees in it, for tests."""

from __future__ import annotations

from qtpy.QtCore import Qt

from napari_hemacells.widgets.gallery.widget import GalleryWidget


def shown(qtbot, session, upcoming, size=(700, 260)) -> GalleryWidget:
    gallery = GalleryWidget(session, upcoming)
    qtbot.addWidget(gallery)
    gallery.resize(*size)
    gallery.show()
    sorted_out(qtbot, gallery)
    qtbot.wait(1)  # Qt lays out the list when it is back in its loop
    return gallery


def sorted_out(qtbot, gallery: GalleryWidget) -> None:
    """Wait until the queue that was asked for is there."""
    qtbot.waitUntil(lambda: not gallery.is_sorting)


def queue(gallery: GalleryWidget) -> list[int]:
    return [gallery.model.cell_at(row) for row in range(gallery.model.rowCount())]


def chosen(gallery: GalleryWidget) -> list[int]:
    return [gallery.model.cell_at(row) for row in gallery.view.chosen()]


def click(qtbot, gallery, row, modifier=Qt.KeyboardModifier.NoModifier):
    where = gallery.view.visualRect(gallery.model.index(row)).center()
    qtbot.mouseClick(gallery.view.viewport(), Qt.MouseButton.LeftButton, modifier, where)


def order_by(gallery: GalleryWidget, order: str) -> None:
    gallery.bar.order.setCurrentIndex(gallery.bar.order.findData(order))


def show_only(gallery: GalleryWidget, only: str) -> None:
    gallery.bar.filter.setCurrentIndex(gallery.bar.filter.findData(only))
