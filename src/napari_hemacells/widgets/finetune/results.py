"""The results of a training: metrics, confusion matrix, and crops worth a look."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.core.train.classifier.project_dataset import parse_cell_name
from napari_hemacells.core.train.classifier.report.text import describe_intervals, subject_noun
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.finetune.crop_list import MAX_CROPS, CropList
from napari_hemacells.widgets.plain_text import PlainLabel, plain_tip, rich_label

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.evaluate.classification_metrics import MetricWithInterval
    from napari_hemacells.core.train.classifier.report.figure_tables import (
        ClassBalance,
        RateSearch,
    )
    from napari_hemacells.core.train.classifier.results import (
        Confusion,
        CropPrediction,
        EvaluationResults,
        Suspect,
    )
    from napari_hemacells.widgets.finetune.training_charts import TrainingCharts

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


ALL_CLASSES = "All classes"
OF_CLASS = 12  # crops of each kind of one class
MAX_HEAT = 24  # crops of a list whose heat is computed: some seconds of a processor


class FineTuneResultsPanel(QWidget):
    """The results of one training; it emits requests to show cells."""

    cell_requested = Signal(str)  # a cell's name in the training
    review_requested = Signal(tuple)  # names of cells, to be gone through by key
    report_requested = Signal()
    heat_requested = Signal(object, tuple)  # the results, and the pictures that are shown

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._findings: EvaluationResults | None = None
        self._items: tuple[CropPrediction, ...] = ()
        self.charts: TrainingCharts | None = None  # made when needed: matplotlib is heavy
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
        self.of_class = QComboBox()
        self.of_class.setAccessibleName("Class of the cells to show")
        self.of_class.setToolTip("Of one class: its worst, best and most uncertain cells")
        self.of_class.addItem(ALL_CLASSES)
        for choice in (self.list, self.of_class):  # long names must not widen the dock
            choice.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
        self.heat = QCheckBox("Heat maps")
        self.heat.setToolTip(
            "Show where the network looked for the class it predicted (Grad-CAM): yellow spoke "
            f"most for it. The first {MAX_HEAT} of a list; takes some seconds"
        )
        self.crops = CropList()
        self.review = QPushButton("Rev&iew in the gallery")
        self.report = QPushButton("Open the rep&ort")
        self._lay_out()
        self._connect()

    # --- what is shown -----------------------------------------------------------------------

    def show_findings(self, findings: EvaluationResults, *, report: bool) -> None:
        """Show the results of a training; ``report`` whether there is a report to open."""
        self._findings = findings
        self.of_class.blockSignals(True)
        self.of_class.clear()
        self.of_class.addItems([ALL_CLASSES, *findings.classes])
        self.of_class.blockSignals(False)
        self.figures.setText(_figures(findings))
        self.intervals.setText(_intervals(findings))
        self.notes.setText(" ".join(findings.run.get("notes", ())))
        self._show_matrix(self.normalised.isChecked())
        self.report.setEnabled(report)
        self.report.setToolTip("Open in the browser" if report else "This training has no report")
        pairs = findings.confusion.pairs(1)
        self._matrix = (pairs[0].label, pairs[0].predicted) if pairs else None
        self._show_list()

    def show_charts(self, searches: Sequence[RateSearch], balance: ClassBalance | None) -> None:
        """Show the class balance and the rate searches of the training."""
        if self.charts is None:
            from napari_hemacells.widgets.finetune.training_charts import TrainingCharts

            self.charts = TrainingCharts()
            self._charts_here.addWidget(self.charts)
        self.charts.show_charts(searches, balance)

    def show_heat(self, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Show the crops under their heat, by name."""
        if self.heat.isChecked():
            self.crops.show_pictures(pictures)

    def show_list(self, key: str) -> None:
        """Show one of the lists."""
        self.list.setCurrentIndex(self.list.findData(key))
        self._show_list()

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        self.matrix.restyle()
        for label in (self.intervals, self.legend, self.about, self.notes):
            theme.mute_text(label)
        if self.charts is not None:
            self.charts.redraw()

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
        label = self.of_class.currentText() if self.of_class.currentIndex() > 0 else ""
        makers = _lists_of_class(results, label) if label else _lists(results)
        makers[MATRIX] = lambda: () if self._matrix is None else results.cell(*self._matrix)
        if key == "suspects":
            self._items = ()
            rows = [
                _suspect_row(suspect)
                for suspect in results.suspects
                if suspect.flagged and (not label or suspect.label == label)
            ]
        else:
            self._items = tuple(makers[key]())
            rows = [_item_row(prediction) for prediction in self._items]
        self._shown = tuple(row[0] for row in rows)
        self.crops.show_crops(rows)
        self.about.setText(self._words(key, len(rows)))
        cells = any(parse_cell_name(name) is not None for name in self._shown)
        self.review.setEnabled(cells)
        self.review.setToolTip(
            "Show these cells in the gallery; the keys 1 to 9 give a class and go on"
            if cells
            else "There is no cell of a project to review in this list"
        )
        self._ask_for_heat()

    def _ask_for_heat(self, _ticked: object = None) -> None:
        if self._findings is not None and self.heat.isChecked() and self._items:
            self.heat_requested.emit(self._findings, self._items[:MAX_HEAT])

    def _heat_ticked(self, ticked: bool) -> None:
        if ticked:
            self._ask_for_heat()
        else:
            self._show_list()

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
        lists = QHBoxLayout()
        lists.addWidget(self.list, 3)
        lists.addWidget(self.of_class, 2)
        column.addWidget(self.matrix)
        column.addLayout(lists)
        for widget in (self.about, self.heat, self.crops):
            column.addWidget(widget)
        column.addLayout(buttons)
        column.addWidget(self.notes)
        self._charts_here = column

    def _connect(self) -> None:
        self.matrix.cell_chosen.connect(self.choose)
        self.normalised.toggled.connect(self._show_matrix)
        self.list.currentIndexChanged.connect(self._show_list)
        self.of_class.currentIndexChanged.connect(self._show_list)
        self.heat.toggled.connect(self._heat_ticked)
        self.crops.chosen.connect(self.cell_requested)
        self.review.clicked.connect(self._review)
        self.report.clicked.connect(self.report_requested)


def _lists(results: EvaluationResults) -> dict[str, Callable[[], Sequence[CropPrediction]]]:
    """Return what makes each list, over all classes."""
    return {
        "losses": results.highest_losses,
        "wrong": lambda: results.most_certain(right=False),
        "uncertain": results.most_uncertain,
        "right": lambda: results.most_certain(right=True),
    }


def _lists_of_class(
    results: EvaluationResults, label: str
) -> dict[str, Callable[[], Sequence[CropPrediction]]]:
    """Return the same of one class: its worst, best and most uncertain, each crop once."""
    own = results.of_class(label, OF_CLASS)
    sure = results.most_certain(right=False, n=len(results.items))
    wrong = tuple(item for item in sure if item.label == label)[:OF_CLASS]
    return {
        "losses": lambda: own.worst,
        "wrong": lambda: wrong,
        "uncertain": lambda: own.uncertain,
        "right": lambda: own.best,
    }


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
