"""What a training leaves in its folder: tables, figures, and all that is needed to repeat it.

What is written down while a classifier learns.

Every picture judged by a network that has not learned from it: cross-validation.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells import __version__
from napari_hemacells.core.files.fsio import write_bytes
from napari_hemacells.core.files.text_tables import write_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.train.classifier.crop_store import LoadedExamples
    from napari_hemacells.core.train.classifier.split import ClassifierSplit


@dataclass(frozen=True)
class EpochRecord:
    """What came of one round.

    Attributes
    ----------
    portion
        Crops that went through the network at once; smaller than the batch after the memory was
        full.
    """

    stage: str
    epoch: int
    train_loss: float
    validation_loss: float
    accuracy: float
    rate: float
    portion: int
    seconds: float


@dataclass(frozen=True)
class LRCurve:
    """The smoothed loss at each learning rate, and the rate to take."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float


RATE_FINDER, BODY_RATE_FINDER = "rate_finder", "rate_finder_body"  # names of their files
LIBRARIES = ("torch", "torchvision", "timm", "accelerate", "numpy", "scikit-learn", "pillow")
SMALLEST = 1e-12


@dataclass(frozen=True)
class ClassifierTrainingOutcome:
    """What came of a training.

    Attributes
    ----------
    folder
        Where everything lies: ``model``, ``figures.json``, ``run.json``, ``log.csv``,
        ``split.csv``, ``validation.csv``.
    model
        The bundle.
    figures
        By part (``validation``, ``test``) what
        :func:`~.evaluate.classification_metrics.compute_classification_metrics` gives.
    history
        The epochs.
    notes
        Sentences that whoever reads the figures must know.
    report
        The page of HTML; ``None`` where none was asked for, or none could be written.
    seconds_per_crop
        How long the trained network takes for a crop, read already, in batches.
    """

    folder: Path
    model: Path
    figures: dict[str, Any]
    history: tuple[EpochRecord, ...]
    notes: tuple[str, ...]
    unreadable: tuple[str, ...]
    parameters: int
    seconds: float
    weights: str
    split: str
    report: Path | None = None
    seconds_per_crop: float = 0.0


def write_csv(file: Path, heading: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table that Excel opens rightly, whole or not at all."""
    write_table(file, heading, rows)


def write_json(file: Path, content: Any) -> None:
    """Write plain values, whole or not at all."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(file, text.encode() + b"\n")


def write_log(file: Path, history: Sequence[EpochRecord]) -> None:
    """Write a row an epoch."""
    names = [field.name for field in fields(EpochRecord)]
    write_csv(file, names, ([*asdict(record).values()] for record in history))


def write_curve(file: Path, curve: LRCurve) -> None:
    """Write the learning rate finder's curve."""
    write_csv(file, ("rate", "loss"), zip(curve.rates, curve.losses, strict=True))


def write_split(file: Path, loaded: LoadedExamples, split: ClassifierSplit) -> None:
    """Write a row a picture: where it is, what it is, which part it is in."""
    rows = (
        (item.name, item.label, item.group, digest, part)
        for item, digest, part in zip(
            loaded.examples.items, loaded.digests, split.parts, strict=True
        )
    )
    write_csv(file, ("path", "label", "group", "digest", "part"), rows)


def write_predictions(
    file: Path,
    loaded: LoadedExamples,
    places: NDArray[np.int64],
    probabilities: NDArray[np.floating],
) -> None:
    """Write a row a picture: its class, what was predicted, how sure, and each probability."""
    classes = loaded.examples.classes
    targets = loaded.examples.targets()[places]
    own = probabilities[np.arange(len(places)), targets]
    losses = -np.log(np.maximum(own, SMALLEST))
    rows = []
    for index, row, loss in zip(places, probabilities, losses, strict=True):
        item = loaded.examples.items[index]
        winner = int(row.argmax())
        numbers = (
            f"{row[winner]:.6f}",
            f"{loss:.6f}",
            *(f"{probability:.6f}" for probability in row),
        )
        rows.append((item.name, str(item.path), item.label, classes[winner], *numbers))
    heading = ("name", "path", "label", "predicted", "confidence", "loss")
    write_csv(file, (*heading, *(f"p_{name}" for name in classes)), rows)


def environment_versions() -> dict[str, Any]:
    """Return the versions of what took part."""
    versions = {"napari-hemacells": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions | {"system": platform.platform()}


@dataclass(frozen=True)
class CrossValidationResult:
    """What came of all folds.

    Attributes
    ----------
    figures
        ``pooled`` over all pictures, and ``folds``: those of each.
    table
        A row a picture: what the network that had not learned from it says.
    report
        The page of HTML; ``None`` where none was asked for, or none could be written.
    """

    folder: Path
    figures: dict[str, Any]
    table: Path
    outcomes: tuple[ClassifierTrainingOutcome, ...]
    notes: tuple[str, ...] = ()
    report: Path | None = None
