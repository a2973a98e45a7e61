"""Two cells side by side: how far apart they are, and whether they are of the same kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPainterPath, QPen, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_hemacells.widgets import theme
from napari_hemacells.widgets.plain_text import PlainLabel, elided, heading

if TYPE_CHECKING:
    from qtpy.QtGui import QPaintEvent

    from napari_hemacells.session.likeness import CellComparison, PickedCell

SIDE = 132  # pixels of a crop
_TITLE = 21  # letters of cell and image below a crop
_SCALE_MAX = 2.0  # largest distance
_HELP = (
    "Choose a cell on the image or in the gallery and press C, then another one. "
    "Or choose two at once and press C."
)


class PickedCellView(QWidget):
    """A picked cell: its crop, its image and its class."""

    def __init__(self, empty: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._empty = empty
        self.picture = PlainLabel()
        self.picture.setFixedSize(SIDE, SIDE)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.setWordWrap(True)
        self.title, self.class_name = PlainLabel(), PlainLabel()
        for label in (self.title, self.class_name):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.picture, 0, Qt.AlignmentFlag.AlignCenter)
        column.addWidget(self.title)
        column.addWidget(self.class_name)
        column.addStretch(1)
        self.setFixedWidth(SIDE + 24)
        self.show_cell(None)

    def show_cell(self, cell: PickedCell | None) -> None:
        """Show a cell; an empty frame for none."""
        if cell is None:
            self.picture.setPixmap(QPixmap())
            self.picture.setText(self._empty)
        else:
            rows, cols = cell.crop.shape[:2]
            image = QImage(cell.crop.tobytes(), cols, rows, 3 * cols, QImage.Format.Format_RGB888)
            self.picture.setPixmap(
                QPixmap.fromImage(image).scaled(
                    SIDE, SIDE, Qt.AspectRatioMode.KeepAspectRatio,
                    Qt.TransformationMode.SmoothTransformation,
                )
            )  # fmt: skip
        self.title.setText("" if cell is None else elided(cell.title, _TITLE))
        self.title.setToolTip("" if cell is None else cell.title)
        self.class_name.setText("" if cell is None else cell.class_name)
        self.restyle()

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        theme.mute_text(self.class_name)
        edge = theme.css("secondary")
        self.picture.setStyleSheet(f"border: 1px dashed {edge}; color: {theme.muted().name()};")
        if not self.picture.pixmap().isNull():
            self.picture.setStyleSheet("border: none;")


class DistanceScale(QWidget):
    """The distance on a scale from alike to unlike, with the threshold."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.distance: float | None = None
        self.threshold = 1.0
        self.setFixedHeight(42)
        self.setAccessibleName("Distance of the two cells")

    def show_distance(self, distance: float | None, threshold: float = 1.0) -> None:
        """Show a distance, or nothing."""
        self.distance, self.threshold = distance, threshold
        self.setVisible(distance is not None)
        self.setAccessibleDescription(
            "" if distance is None else f"{distance:.2f}, threshold {threshold:.2f}"
        )
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002, N802
        """Paint the scale, the part below the threshold in colour, and a mark at the distance."""
        if self.distance is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        back = theme.colour("background")
        text = theme.readable(theme.colour("text"), back)
        bar = QRectF(6, 16, self.width() - 12, 7)
        at = bar.left() + bar.width() * min(self.threshold / _SCALE_MAX, 1)
        outline = QPainterPath()
        outline.addRoundedRect(bar, 3, 3)
        painter.setClipPath(outline)
        painter.fillRect(bar, theme.visible(QColor("#d55e00"), back))
        painter.fillRect(
            QRectF(bar.left(), bar.top(), at - bar.left(), bar.height()),
            theme.visible(QColor("#009e73"), back),
        )
        painter.setClipping(False)
        painter.setPen(QPen(text, 2))
        painter.drawLine(QPointF(at, bar.top() - 3), QPointF(at, bar.bottom() + 3))
        mark = bar.left() + bar.width() * min(self.distance / _SCALE_MAX, 1)
        triangle = QPainterPath()
        triangle.moveTo(mark, bar.top() - 2)
        triangle.lineTo(mark - 6, bar.top() - 12)
        triangle.lineTo(mark + 6, bar.top() - 12)
        triangle.closeSubpath()
        painter.fillPath(triangle, text)
        painter.setPen(theme.muted())
        words = QRectF(bar.left(), bar.bottom() + 2, bar.width(), 16)
        painter.drawText(words, Qt.AlignmentFlag.AlignLeft, "alike")
        painter.drawText(words, Qt.AlignmentFlag.AlignRight, "unlike")
        painter.end()


class ComparePanel(QWidget):
    """Two cells side by side with what is said of them.

    Signals
    -------
    pick_requested
        Pick the chosen cells, as the key C does.
    clear_requested
        Let both cells go.
    """

    pick_requested = Signal()
    clear_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.first = PickedCellView("First cell")
        self.second = PickedCellView("Second cell")
        self.verdict = heading("")
        self.scale = DistanceScale()
        self.figures = PlainLabel()
        self.basis = PlainLabel(_HELP)
        for label in (self.verdict, self.figures, self.basis):
            label.setWordWrap(True)
        self.verdict.setAccessibleName("Same kind or not")
        self.pick = QPushButton("Compare the chosen cell (C)")
        self.pick.setToolTip(
            "Pick the chosen cell of the image or the gallery, or two of them (C)"
        )
        self.clear = QPushButton("Clear")
        self.clear.setToolTip("Let both cells go")
        self.pick.clicked.connect(self.pick_requested)
        self.clear.clicked.connect(self.clear_requested)
        self._lay_out()
        self.show_cells(None, None)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.pick)
        buttons.addWidget(self.clear)
        buttons.addStretch(1)
        words = QVBoxLayout()
        words.setSpacing(3)
        words.addLayout(buttons)
        for widget in (self.verdict, self.scale, self.figures, self.basis):
            words.addWidget(widget)
        words.addStretch(1)
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 6, 6, 6)
        row.setSpacing(10)
        row.addWidget(self.first)
        row.addWidget(self.second)
        row.addLayout(words, 1)

    def show_cells(self, first: PickedCell | None, second: PickedCell | None) -> None:
        """Show two cells, of which nothing is said yet."""
        self.first.show_cell(first)
        self.second.show_cell(second)
        self.clear.setEnabled(first is not None)
        self.scale.show_distance(None)
        self.figures.setText("")
        self.figures.hide()
        if first is None:
            self.verdict.setText("Same kind or not?")
            self.basis.setText(_HELP)
        elif second is None:
            self.verdict.setText("And which other cell?")
            self.basis.setText("Choose another cell, here or in another image, and press C.")
        else:
            self.verdict.setText("Comparing …")
            self.basis.setText("")

    def show_comparison(self, comparison: CellComparison) -> None:
        """Show what is said of the two cells."""
        verdict = comparison.verdict
        self.verdict.setText(verdict.headline)
        self.scale.show_distance(verdict.distance, verdict.threshold)
        self.figures.setText(
            f"Distance {verdict.distance:.2f}; the same kind up to {verdict.threshold:.2f}."
        )
        self.figures.show()
        self.basis.setText(comparison.basis)
        self.basis.setToolTip(f"On what the threshold rests: {comparison.basis}")

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        theme.mute_text(self.basis)
        for view in (self.first, self.second):
            view.restyle()
        self.scale.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the size of the gallery, whose place it shares."""
        return QSize(720, 200)
