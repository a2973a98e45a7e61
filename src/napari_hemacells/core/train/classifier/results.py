"""What a training found, as frozen records of plain values.

A training's folder → its findings. Neither torch nor the pictures are needed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from napari_hemacells.core.errors import StorageError, TrainingError
from napari_hemacells.core.evaluate.classification_metrics import MetricWithInterval
from napari_hemacells.core.files.fsio import read_bytes
from napari_hemacells.core.files.text_tables import read_table
from napari_hemacells.core.types import TemperatureScaling  # noqa: TC001 (pydantic reads it)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

EvaluatedPart: TypeAlias = Literal["test", "out-of-fold", "validation"]
FEW_GROUPS = 10  # below which a bootstrap of them is too narrow
SHOWN = 24
MAX_JSON_BYTES = 64 * 2**20


@dataclass(frozen=True)
class CropPrediction:
    """A picture that the network was asked about without having learned from it.

    Attributes
    ----------
    name
        As the training's tables name it, such as ``neutrophil/slide3-17.png``.
    confidence
        Of the predicted class.
    loss
        Negative logarithm of the given class's probability, in nats.
    probabilities
        One a class, in the order of :attr:`Findings.classes`.
    group
        Patient, slide or image; empty where unknown.
    fold
        Which network of a cross-validation was asked, 1 first; 0 where there was one only.
    """

    name: str
    path: Path
    label: str
    predicted: str
    confidence: float
    loss: float
    probabilities: tuple[float, ...]
    group: str = ""
    fold: int = 0

    @property
    def right(self) -> bool:
        """Whether the given class was predicted."""
        return self.label == self.predicted

    @property
    def key(self) -> str:
        """The cell's own name, as it was given to ``write_examples``."""
        return Path(self.name).stem


@dataclass(frozen=True)
class Suspect:
    """A picture whose label may be wrong.

    Attributes
    ----------
    label, suggested
        The given class, and the one that models which had not seen this picture say.
    score
        Label quality, 0 (surely wrong) to 1.
    flagged
        Whether confident learning counts it among the wrong labels; the others are merely next
        in the order.
    """

    name: str
    path: Path
    label: str
    suggested: str
    score: float
    confidence: float
    flagged: bool

    @property
    def key(self) -> str:
        """The cell's own name, as it was given to ``write_examples``."""
        return Path(self.name).stem


@dataclass(frozen=True)
class ClassMetrics:
    """How well one class is told; ``n`` is how many of it were judged."""

    name: str
    n: int
    precision: MetricWithInterval
    recall: MetricWithInterval
    f1: MetricWithInterval


@dataclass(frozen=True)
class BinaryMetrics:
    """Of two classes, those of the second one."""

    positive: str
    sensitivity: MetricWithInterval
    specificity: MetricWithInterval
    auc: MetricWithInterval
    roc: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class ReliabilityBin:
    """Cells of similar confidence: how sure, and how many were right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class ClassificationMetrics:
    """Figures with 95 % bootstrap intervals.

    Attributes
    ----------
    resampled
        What was drawn anew for the intervals: ``cells`` or ``groups``.
    copies
        Augmented copies averaged with each crop; 0 for none.
    groups
        How many groups the cells come from; 0 where they were not looked at.
    by_group
        The figures of whole groups, each judged by the mean of its pictures, where all pictures
        of a group are of one class: patients of whom there are several frames.
    """

    n: int
    accuracy: MetricWithInterval
    balanced_accuracy: MetricWithInterval
    kappa: MetricWithInterval
    macro_f1: MetricWithInterval
    log_loss: float
    ece: float
    resampled: str
    reliability: tuple[ReliabilityBin, ...]
    classes: tuple[ClassMetrics, ...]
    binary: BinaryMetrics | None
    copies: int = 0
    groups: int = 0
    by_group: ClassificationMetrics | None = None

    @property
    def has_rough_intervals(self) -> bool:
        """Whether so few groups were drawn anew that the intervals say little."""
        return self.resampled == "groups" and self.groups < FEW_GROUPS


@dataclass(frozen=True)
class ConfusedPair:
    """How often cells of one class were taken for another.

    Attributes
    ----------
    share
        Of the cells of the class ``label``.
    """

    label: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True, eq=False)
class Confusion:
    """Which class was taken for which.

    Attributes
    ----------
    counts
        ``(k, k)`` int64; rows are the given classes, columns the predicted ones.
    """

    classes: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def normalised(self) -> NDArray[np.float64]:
        """``(k, k)`` share of each row; NaN where a class did not occur."""
        sums = self.counts.sum(axis=1, keepdims=True)
        shares = np.full(self.counts.shape, np.nan)
        np.divide(self.counts, sums, out=shares, where=sums > 0)
        return shares

    def pairs(self, n: int = 10) -> tuple[ConfusedPair, ...]:
        """Return the most confused pairs, the most frequent first."""
        shares = self.normalised
        pairs = [
            ConfusedPair(own, other, int(self.counts[row, col]), float(shares[row, col]))
            for row, own in enumerate(self.classes)
            for col, other in enumerate(self.classes)
            if row != col and self.counts[row, col]
        ]
        return tuple(sorted(pairs, key=lambda pair: (-pair.count, -pair.share))[:n])


class ClassExamples(NamedTuple):
    """Pictures of one class that a reader should look at."""

    label: str
    worst: tuple[CropPrediction, ...]
    best: tuple[CropPrediction, ...]
    uncertain: tuple[CropPrediction, ...]


@dataclass(frozen=True, eq=False)
class EvaluationResults:
    """What a training found, of the part that can be trusted most.

    Attributes
    ----------
    part
        ``test`` where there is one; then ``out-of-fold`` (cross-validation), then ``validation``.
    items
        The pictures of that part.
    suspects
        Labels that may be wrong, the worst first; over all pictures, or empty where nobody looked.
    run
        What ``run.json`` holds: recipe, command, split, versions.
    figures_of
        Figures by part, for whoever wants to show others too.
    """

    folder: Path
    part: EvaluatedPart
    classes: tuple[str, ...]
    items: tuple[CropPrediction, ...]
    figures: ClassificationMetrics
    confusion: Confusion
    suspects: tuple[Suspect, ...]
    run: Mapping[str, Any]
    metrics_by_part: Mapping[EvaluatedPart, ClassificationMetrics]

    def cell(self, label: str, predicted: str) -> tuple[CropPrediction, ...]:
        """Return the pictures in a cell of the confusion matrix, the surest first."""
        own = (item for item in self.items if (item.label, item.predicted) == (label, predicted))
        return tuple(sorted(own, key=lambda item: -item.confidence))

    def highest_losses(self, n: int = SHOWN) -> tuple[CropPrediction, ...]:
        """Return the pictures whose given class the network believed least."""
        return tuple(sorted(self.items, key=lambda item: -item.loss)[:n])

    def most_certain(self, *, right: bool, n: int = SHOWN) -> tuple[CropPrediction, ...]:
        """Return the surest of those told rightly, or wrongly."""
        own = (item for item in self.items if item.right is right)
        return tuple(sorted(own, key=lambda item: -item.confidence)[:n])

    def most_uncertain(self, n: int = SHOWN) -> tuple[CropPrediction, ...]:
        """Return the pictures whose two likeliest classes are closest to each other."""
        return tuple(sorted(self.items, key=_margin)[:n])

    def of_class(self, label: str, n: int) -> ClassExamples:
        """Return the worst, best and most uncertain pictures of a given class, each once.

        The worst are those whose class the network believed least; the best are told rightly.
        """
        own = sorted((item for item in self.items if item.label == label), key=lambda i: -i.loss)
        worst = own[:n]
        best = [item for item in reversed(own) if item.right and item not in worst][:n]
        shown = {id(item) for item in (*worst, *best)}
        rest = sorted((item for item in own if id(item) not in shown), key=_margin)
        return ClassExamples(label, tuple(worst), tuple(best), tuple(rest[:n]))


def confusion_of(items: Sequence[CropPrediction], classes: tuple[str, ...]) -> Confusion:
    """Return how often each class was taken for each."""
    index_of_class = {name: number for number, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for item in items:
        counts[index_of_class[item.label], index_of_class[item.predicted]] += 1
    return Confusion(classes, counts)


def _margin(item: CropPrediction) -> float:
    second, first = sorted(item.probabilities)[-2:]
    return first - second


OUT_OF_FOLD_FILE = "out_of_fold.csv"
FILES: dict[EvaluatedPart, str] = {
    "test": "test.csv",
    "out-of-fold": OUT_OF_FOLD_FILE,
    "validation": "validation.csv",
}
SUSPECTS = "suspects.csv"


def read_results(folder: Path) -> EvaluationResults:
    """Return what a training, or a cross-validation, left in its folder.

    Raises
    ------
    TrainingError
        The folder holds no finished training.
    """
    try:
        return _read_results(folder)
    except TrainingError:
        raise
    except Exception as error:  # its files do not fit one another
        raise _unfinished(folder) from error


def _read_results(folder: Path) -> EvaluationResults:
    figures = parse_metrics(read_json(folder / "figures.json"))
    part = next((candidate for candidate in FILES if candidate in figures), None)
    if part is None:
        raise _unfinished(folder)
    items = read_predictions(folder / FILES[part], _groups(folder))
    classes = tuple(class_metrics.name for class_metrics in figures[part].classes)
    run = folder if (folder / "run.json").is_file() else folder / "fold1"
    return EvaluationResults(
        folder=folder,
        part=part,
        classes=classes,
        items=items,
        figures=figures[part],
        confusion=confusion_of(items, classes),
        suspects=read_suspects(folder / SUSPECTS),
        run=read_run(run / "run.json"),
        metrics_by_part=figures,
    )


def read_predictions(
    table: Path, groups: Mapping[str, str] | None = None
) -> tuple[CropPrediction, ...]:
    """Return the rows of ``validation.csv`` or another table of answers.

    Raises
    ------
    TrainingError
        The table cannot be read.
    """
    groups = groups or {}
    try:
        return tuple(
            CropPrediction(
                name=row["name"],
                path=Path(row["path"]),
                label=row["label"],
                predicted=row["predicted"],
                confidence=float(row["confidence"]),
                loss=float(row["loss"]),
                probabilities=tuple(float(row[name]) for name in row if name.startswith("p_")),
                group=row.get("group") or groups.get(row["name"], ""),
                fold=int(row.get("fold", 0)),
            )
            for row in _rows(table)
        )
    except (OSError, KeyError, ValueError) as error:
        raise _unfinished(table.parent) from error


def read_suspects(table: Path) -> tuple[Suspect, ...]:
    """Return what ``hemacells check-labels`` wrote, the worst first; nothing without the file.

    Raises
    ------
    TrainingError
        The table is damaged.
    """
    if not table.is_file():
        return ()
    try:
        return tuple(
            Suspect(
                name=row["name"],
                path=Path(row["path"]),
                label=row["label"],
                suggested=row["suggested"],
                score=float(row["score"]),
                confidence=float(row["confidence"]),
                flagged=row["flagged"] == "1",
            )
            for row in _rows(table)
        )
    except (OSError, KeyError, ValueError) as error:
        raise TrainingError(
            f"“{table}” is damaged: remove it, and check the labels again."
        ) from error


def parse_metrics(content: Mapping[str, Any]) -> dict[EvaluatedPart, ClassificationMetrics]:
    """Return what ``figures.json`` holds, typed; with averaged copies their figures.

    Raises
    ------
    ValueError, KeyError, TypeError, AttributeError
        It holds something else.
    """
    named: dict[EvaluatedPart, Any] = {
        "test": content.get("test"),
        "out-of-fold": content.get("pooled"),
        "validation": content.get("validation"),
    }
    return {
        part: _METRICS.validate_python(asdict(_figures(figures.get("tta", figures))))
        for part, figures in named.items()
        if figures
    }


def _figures(content: Mapping[str, Any]) -> ClassificationMetrics:
    overall = ("accuracy", "balanced_accuracy", "kappa", "macro_f1")
    return ClassificationMetrics(
        n=content["n"],
        **{name: _figure(content[name]) for name in overall},
        log_loss=content["log_loss"],
        ece=content["ece"],
        resampled=content["resampled"],
        reliability=tuple(
            ReliabilityBin(row["from"], row["to"], row["n"], row["confidence"], row["accuracy"])
            for row in content["reliability"]
        ),
        classes=tuple(
            ClassMetrics(
                name, row["n"], *(_figure(row[metric]) for metric in ("precision", "recall", "f1"))
            )
            for name, row in content["classes"].items()
        ),
        binary=_binary(content["binary"]) if "binary" in content else None,
        copies=content.get("copies", 0),
        groups=content.get("groups", 0),
        by_group=_figures(content["by_group"]) if "by_group" in content else None,
    )


def _binary(content: Mapping[str, Any]) -> BinaryMetrics:
    curve = content.get("roc", {"false_positive_rate": (), "true_positive_rate": ()})
    rates = (curve["false_positive_rate"], curve["true_positive_rate"])
    return BinaryMetrics(
        positive=content["positive"],
        sensitivity=_figure(content["sensitivity"]),
        specificity=_figure(content["specificity"]),
        auc=_figure(content["auc"]),
        roc=tuple(zip(*rates, strict=True)),
    )


def _figure(content: Mapping[str, float | None]) -> MetricWithInterval:
    value, low, high = (content[name] for name in ("value", "low", "high"))
    return MetricWithInterval(
        *(float("nan") if number is None else number for number in (value, low, high))
    )


_METRICS = TypeAdapter(ClassificationMetrics)


def _groups(folder: Path) -> dict[str, str]:
    """Return the group of each picture by its name."""
    file = folder / "split.csv"
    return {row["path"]: row["group"] for row in _rows(file)} if file.is_file() else {}


def _rows(table: Path) -> list[dict[str, str]]:
    return read_table(table).records()


class _Depth(BaseModel):
    """One scale of values, as :class:`~.core.types.image.BitDepth`."""

    bits: int = Field(ge=1, le=32)
    offset: int = Field(default=0, ge=0, lt=2**32)
    source: Literal["type", "file", "guessed", "run"] = "run"


class _Frame(BaseModel):
    """How the crops of a training were read and cut."""

    size: int = Field(ge=1, le=4096)
    context: float = Field(gt=0, le=100)
    framing: float = Field(gt=0, allow_inf_nan=False)
    degrees: TemperatureScaling = "fixed"
    palette: str = "grey"
    plane: str = Field(default="", max_length=200)
    channels: tuple[int, ...] = Field(default=(), max_length=3)
    bit_depths: tuple[_Depth, ...] = Field(default=(), max_length=100)


class _Recipe(BaseModel):
    """What is told of a training's recipe; the rest is kept as it is."""

    model_config = ConfigDict(extra="allow")

    arch: str = ""
    keep: str = ""
    seed: int = 0


class _Run(BaseModel):
    """What ``run.json`` holds."""

    model_config = ConfigDict(extra="allow")

    recipe: _Recipe = _Recipe()
    command: str = ""
    source: str = ""
    data_sha256: str = ""
    counts: dict[str, int] = {}
    pictures: str = "cells"
    split: str = ""
    split_rule: dict[str, int | float | bool] = {}
    grouped: bool = False
    frame: _Frame | None = None
    weights: str = ""
    parameters: int = 0
    rate: float = 0.0
    start_loss: float | None = None
    temperature: float = 1.0
    device: str = ""
    processes: int = 1
    epochs: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    versions: dict[str, str] = {}


def read_run(file: Path) -> dict[str, Any]:
    """Return what ``run.json`` holds, checked; raises :class:`TrainingError`."""
    try:
        return _Run.model_validate(read_json(file)).model_dump(exclude_unset=True)
    except ValidationError as error:
        raise _unfinished(file.parent) from error


_REPORTED = frozenset(_Run.model_fields) - {"pictures", "unreadable", "start_loss"}


def check_run(results: EvaluationResults) -> None:
    """Raise :class:`TrainingError` where ``run.json`` lacks what a report tells."""
    if missing := _REPORTED - results.run.keys():
        raise TrainingError(
            f"run.json of “{results.folder}” is damaged (it lacks {', '.join(sorted(missing))}): "
            "restore it from a copy, or train again."
        )


def read_json(file: Path) -> dict[str, Any]:
    """Return the object that a JSON file of a training holds; raises :class:`TrainingError`."""
    try:
        content = json.loads(read_bytes(file, MAX_JSON_BYTES))
    except (StorageError, ValueError, RecursionError) as error:
        raise _unfinished(file.parent) from error
    if not isinstance(content, dict):
        raise _unfinished(file.parent)
    return content


def _unfinished(folder: Path) -> TrainingError:
    return TrainingError(
        f"“{folder}” holds no finished training: name the folder that was given with --out, and "
        "let an interrupted training end first (the same command goes on with it)."
    )
