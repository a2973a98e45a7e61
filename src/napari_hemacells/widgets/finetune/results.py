"""The results of a training: metrics, confusion matrix, and crops worth a look."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QBrush, QColor, QIcon
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QListView,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.core.train.classifier.report.text import describe_intervals, subject_noun
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.plain_text import PlainLabel, plain_tip, rich_label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from qtpy.QtGui import QKeyEvent, QResizeEvent

    from napari_hemacells.core.evaluate.classification_metrics import MetricWithInterval
    from napari_hemacells.core.train.classifier.results import (
        Confusion,
        CropPrediction,
        EvaluationResults,
        Suspect,
    )

_NAMES = 118  # pixels of the class names on the left
_ROW = 24


class ConfusionMatrixView(QTableWidget):
    """The confusion matrix; rows are the annotated classes, columns the predicted ones, by number.

    Signals
    -------
    cell_chosen
        The annotated and the predicted class.
    """

    cell_chosen = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._confusion: Confusion | None = None
        self._normalised = False
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName(
            "Confusion matrix: rows are your classes, columns the predicted classes"
        )
        across, down = self.horizontalHeader(), self.verticalHeader()
        if across is not None and down is not None:
            across.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
            across.setMinimumSectionSize(22)
            down.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
            down.setDefaultSectionSize(_ROW)
            down.setFixedWidth(_NAMES)
            down.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.cellClicked.connect(self._tell)
        self.cellActivated.connect(self._tell)

    def show_confusion(self, confusion: Confusion, *, normalised: bool) -> None:
        """Show counts, or percentages of each row."""
        self._confusion, self._normalised = confusion, normalised
        names = confusion.classes
        self.clear()
        self.setRowCount(len(names))
        self.setColumnCount(len(names))
        self.setHorizontalHeaderLabels([str(n) for n in range(1, len(names) + 1)])
        self.setVerticalHeaderLabels([f"{n} {name}" for n, name in enumerate(names, start=1)])
        for index, name in enumerate(names):
            for header in (self.horizontalHeaderItem(index), self.verticalHeaderItem(index)):
                if header is not None:
                    header.setToolTip(plain_tip(name))
        self._fill(confusion)
        self.updateGeometry()
        self.setFixedHeight(self.sizeHint().height())

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        if self._confusion is not None:
            self._fill(self._confusion)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Set the height to that of all rows; the width is free."""
        header = self.horizontalHeader()
        top = 24 if header is None else header.sizeHint().height()
        return QSize(300, top + _ROW * max(1, self.rowCount()) + 4)

    def _fill(self, confusion: Confusion) -> None:
        shares = np.nan_to_num(confusion.normalised)
        right, wrong, text = (theme.colour(role) for role in ("current", "error", "text"))
        for row, given in enumerate(confusion.classes):
            for col, predicted in enumerate(confusion.classes):
                count, share = int(confusion.counts[row, col]), float(shares[row, col])
                shown = f"{share:.0%}" if self._normalised else f"{count:,}"
                item = QTableWidgetItem(shown if count else "")
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                item.setBackground(QBrush(shade(right if row == col else wrong, share)))
                item.setForeground(QBrush(text))
                cells = f"{count:,} cell{'s' * (count != 1)}"
                item.setToolTip(
                    plain_tip(
                        f"{cells} of your class {given} predicted as {predicted} ({share:.1%} of "
                        f"{given})"
                    )
                )
                self.setItem(row, col, item)

    def _tell(self, row: int, col: int) -> None:
        if self._confusion is not None and self._confusion.counts[row, col]:
            names = self._confusion.classes
            self.cell_chosen.emit(names[row], names[col])


def shade(colour: QColor, share: float) -> QColor:
    """Return the colour, stronger for a larger share; no colour for 0."""
    shade = QColor(colour)
    shade.setAlphaF(0.0 if share == 0 else 0.2 + 0.6 * share)
    return shade


SIDE = 64
MAX_CROPS = 200  # icons; more are not looked through one by one
_LINES = 2  # of crops in sight
_BAR = 16  # pixels of the scroll bar
_KEY = Qt.ItemDataRole.UserRole


class CropList(QListWidget):
    """Crops with a caption.

    Signals
    -------
    chosen
        The name of the cell in the tables of the training.
    """

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setIconSize(QSize(SIDE, SIDE))
        self.setGridSize(QSize(SIDE + 30, SIDE + 40))
        self.setWordWrap(True)
        self.setUniformItemSizes(True)
        self.setAccessibleName("Crops; Enter goes to the cell on the slide")
        self.currentItemChanged.connect(self._tell)
        self.itemClicked.connect(self._tell)

    def show_crops(self, crops: Sequence[tuple[str, Path, str, str]]) -> None:
        """Show crops: name, file, caption, tooltip; none is chosen."""
        self.blockSignals(True)
        self.clear()
        for key, path, words, tip in crops[:MAX_CROPS]:
            item = QListWidgetItem(QIcon(str(path)), words)
            item.setData(_KEY, key)
            item.setToolTip(plain_tip(tip))
            self.addItem(item)
        self.setCurrentRow(-1)
        self.blockSignals(False)
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Set the height to that of the crops."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        across = max(1, (self.width() - _BAR) // self.gridSize().width())
        lines = min(_LINES, -(-self.count() // across))
        self.setFixedHeight(max(1, lines) * self.gridSize().height() + 6)

    def mark(self, row: int) -> None:
        """Choose a crop without going to its cell."""
        self.blockSignals(True)
        self.setCurrentRow(row)
        self.blockSignals(False)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Use arrow keys here; leave class keys to the dock, which annotates the cell."""
        if event is not None and event.text().isprintable() and event.text():
            event.ignore()
        else:
            super().keyPressEvent(event)

    def _tell(self, item: QListWidgetItem | None, _before: object = None) -> None:
        if item is not None:
            self.chosen.emit(str(item.data(_KEY)))


CropRow: TypeAlias = "tuple[str, Path, str, str]"
MATRIX = "matrix"
LISTS: dict[str, tuple[str, str]] = {
    MATRIX: ("A cell of the matrix", "Click a number above: its cells are shown here."),
    "losses": ("Highest losses", "Cells with a low predicted probability of your class."),
    "wrong": (
        "Confident, but not your class",
        ("The network predicts another class with a high confidence."),
    ),
    "uncertain": ("Most uncertain", "Two classes are almost equally likely."),
    "right": ("Confident and correct", "Typical cells of a class, according to the network."),
    "suspects": (
        "Suspected wrong labels",
        (
            "Networks that were not trained on the cell predict another class: check these "
            "annotations."
        ),
    ),
}


class FineTuneResultsPanel(QWidget):
    """The results of one training; it emits requests to show cells."""

    cell_requested = Signal(str)  # a cell's name in the training
    review_requested = Signal(tuple)  # names of cells, to be gone through by key
    report_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._findings: EvaluationResults | None = None
        self._matrix: tuple[str, str] | None = None
        self._shown: tuple[str, ...] = ()
        self.figures, self.intervals, self.legend = rich_label(), PlainLabel(), PlainLabel()
        self.about, self.notes = PlainLabel(), PlainLabel()
        self.matrix = ConfusionMatrixView()
        self.normalised = QPushButton("%")
        self.normalised.setCheckable(True)
        self.normalised.setToolTip("Show percentages of each row instead of counts")
        self.list = QComboBox()
        self.list.setAccessibleName("Cells to show")
        for key, (title, tip) in LISTS.items():
            self.list.addItem(title, key)
            self.list.setItemData(self.list.count() - 1, tip, 3)  # Qt.ItemDataRole.ToolTipRole
        self.crops = CropList()
        self.review = QPushButton("Rev&iew in the gallery")
        self.report = QPushButton("Open the rep&ort")
        self._lay_out()
        self._connect()

    # --- what is shown -----------------------------------------------------------------------

    def show_findings(self, findings: EvaluationResults, *, report: bool) -> None:
        """Show the results of a training; ``report`` whether there is a report to open."""
        self._findings = findings
        self.figures.setText(_figures(findings))
        self.intervals.setText(_intervals(findings))
        self.notes.setText(" ".join(findings.run.get("notes", ())))
        self._show_matrix(self.normalised.isChecked())
        self.report.setEnabled(report)
        self.report.setToolTip("Open in the browser" if report else "This training has no report")
        pairs = findings.confusion.pairs(1)
        self._matrix = (pairs[0].label, pairs[0].predicted) if pairs else None
        self._show_list()

    def show_list(self, key: str) -> None:
        """Show one of the lists."""
        self.list.setCurrentIndex(self.list.findData(key))
        self._show_list()

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        self.matrix.restyle()
        for label in (self.intervals, self.legend, self.about, self.notes):
            theme.mute_text(label)

    def choose(self, given: str, predicted: str) -> None:
        """Show the crops of a cell of the matrix, and go to the first."""
        self._matrix = (given, predicted)
        self.show_list(MATRIX)
        if self._shown:
            self.crops.mark(0)
            self.review_requested.emit(self._shown)

    # --- inside ------------------------------------------------------------------------------

    def _show_matrix(self, normalised: bool) -> None:
        if self._findings is not None:
            self.matrix.show_confusion(self._findings.confusion, normalised=normalised)

    def _show_list(self, _index: int = 0) -> None:
        results, key = self._findings, str(self.list.currentData())
        if results is None:
            return
        makers: dict[str, Callable[[], Sequence[CropPrediction]]] = {
            MATRIX: lambda: () if self._matrix is None else results.cell(*self._matrix),
            "losses": results.highest_losses,
            "wrong": lambda: results.most_certain(right=False),
            "uncertain": results.most_uncertain,
            "right": lambda: results.most_certain(right=True),
        }
        if key == "suspects":
            rows = [_suspect_row(suspect) for suspect in results.suspects if suspect.flagged]
        else:
            rows = [_item_row(prediction) for prediction in makers[key]()]
        self._shown = tuple(row[0] for row in rows)
        self.crops.show_crops(rows)
        self.about.setText(self._words(key, len(rows)))
        self.review.setEnabled(bool(rows))
        self.review.setToolTip(
            "Show these cells in the gallery; the keys 1 to 9 give a class and go on"
            if rows
            else "There is no cell to review in this list"
        )

    def _words(self, key: str, count: int) -> str:
        words = LISTS[key][1]
        if key == MATRIX and self._matrix is not None:
            given, predicted = self._matrix
            called = "correctly predicted" if given == predicted else f"predicted as {predicted}"
            words = f"{count:,} held-out cells of class {given}, {called}."
        elif not count:
            words = "None found."
        return f"{words} The first {MAX_CROPS} are shown." if count > MAX_CROPS else words

    def _review(self) -> None:
        self.review_requested.emit(self._shown)

    def _lay_out(self) -> None:
        for label in (self.figures, self.intervals, self.legend, self.about, self.notes):
            label.setWordWrap(True)
        self.legend.setText(
            "Rows: your class; columns: the predicted class. Click a number to see its cells."
        )
        head = QHBoxLayout()
        head.addWidget(self.legend, 1)
        head.addWidget(self.normalised)
        buttons = QHBoxLayout()
        buttons.addWidget(self.review, 1)
        buttons.addWidget(self.report, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.figures)
        column.addWidget(self.intervals)
        column.addLayout(head)
        for widget in (self.matrix, self.list, self.about, self.crops):
            column.addWidget(widget)
        column.addLayout(buttons)
        column.addWidget(self.notes)

    def _connect(self) -> None:
        self.matrix.cell_chosen.connect(self.choose)
        self.normalised.toggled.connect(self._show_matrix)
        self.list.currentIndexChanged.connect(self._show_list)
        self.crops.chosen.connect(self.cell_requested)
        self.review.clicked.connect(self._review)
        self.report.clicked.connect(self.report_requested)


def _figures(results: EvaluationResults) -> str:
    figures = results.figures
    parts = {"validation": "held-out", "test": "test", "out-of-fold": "cross-validated"}
    show = _format_figure if figures.has_rough_intervals else _format_with_interval
    return (
        f"<b>{figures.n:,} {parts[results.part]} {subject_noun(results)}</b>: accuracy"
        f" {show(figures.accuracy)}, balanced {show(figures.balanced_accuracy)},"
        f" κ {show(figures.kappa)}."
    )


def _intervals(results: EvaluationResults) -> str:
    """Return how the intervals were computed, in the words of the report."""
    hidden = results.figures.has_rough_intervals and results.figures.groups > 1
    where = " (left out here)" if hidden else ""
    return f"Intervals{where}: {describe_intervals(results.figures, subject_noun(results))}"


def _format_with_interval(figure: MetricWithInterval) -> str:
    """``0.98 (0.95–1.00)``: the interval of the bootstrap."""
    return f"{figure.value:.3f} ({figure.low:.2f}–{figure.high:.2f})"


def _format_figure(figure: MetricWithInterval) -> str:
    return f"{figure.value:.3f}"


def _item_row(prediction: CropPrediction) -> CropRow:
    tip = (
        f"{prediction.key}: yours {prediction.label}, predicted {prediction.predicted} "
        f"{prediction.confidence:.1%}"
    )
    shown = (
        prediction.label if prediction.right else f"{prediction.label} → {prediction.predicted}"
    )
    return prediction.key, prediction.path, f"{shown} {prediction.confidence:.0%}", tip


def _suspect_row(suspect: Suspect) -> CropRow:
    tip = f"other networks predict {suspect.suggested}, label quality {suspect.score:.2f}"
    return (
        suspect.key,
        suspect.path,
        f"{suspect.label} → {suspect.suggested}?",
        f"{suspect.key}: {tip}",
    )
