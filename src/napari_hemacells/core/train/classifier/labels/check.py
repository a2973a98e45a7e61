"""Which labels may be wrong: asked of models that have not seen the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.evaluate.folder import embed_files_steps
from napari_hemacells.core.train.classifier.examples import (
    Example,
    check_examples,
    read_examples,
)
from napari_hemacells.core.train.classifier.findings import Suspect, read_findings
from napari_hemacells.core.train.classifier.labels.heads import FOLDS, out_of_fold_heads
from napari_hemacells.core.train.classifier.labels.quality import label_quality
from napari_hemacells.core.train.classifier.outcome import write_csv
from napari_hemacells.core.train.reports import TrainingReport, as_training_reports
from napari_hemacells.core.types import CropSpec

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.encode import EmbeddingCache, Encoder
COLUMNS = ("name", "path", "label", "suggested", "score", "confidence", "flagged")


@dataclass(frozen=True)
class LabelCheck:
    """What came of looking for wrong labels.

    Attributes
    ----------
    suspects
        Every picture, the likeliest wrong label first; :attr:`flagged` of them count as wrong.
    method
        Who was asked, and what they had seen.
    """

    suspects: tuple[Suspect, ...]
    method: str
    unreadable: tuple[str, ...] = ()

    @property
    def flagged(self) -> int:
        """How many labels confident learning counts as wrong."""
        return sum(one.flagged for one in self.suspects)

    def worst(self, n: int) -> tuple[Suspect, ...]:
        """Return those to look at: all that are flagged, or at least so many."""
        return self.suspects[: max(n, self.flagged)]


def check_labels_steps(
    source: Path,
    encoder: Encoder,
    *,
    cache: EmbeddingCache | None = None,
    spec: CropSpec | None = None,
    folds: int = FOLDS,
    seed: int = 0,
) -> Generator[TrainingReport, None, LabelCheck]:
    """Return the labels of a folder or CSV, by linear heads on a frozen encoder's vectors.

    Parameters
    ----------
    spec
        What crops the encoder is given, if others than usual.

    Raises
    ------
    TrainingError
        The pictures are not enough to tell classes apart, or cleanlab is not installed.
    """
    examples = read_examples(source)
    check_examples(examples)
    by_path = {str(one.path): one for one in examples.items}
    listed = [(one.path, one.label) for one in examples.items]
    steps = embed_files_steps(listed, examples.source, spec or CropSpec(), encoder, cache)
    read = yield from as_training_reports(steps)
    readable = replace(examples, items=tuple(by_path[str(file)] for file in read.files))
    check_examples(readable)
    n = len(readable)
    yield TrainingReport(n, n, "Asking heads that have not seen the cell", phase="validate")
    found = check_vectors(read.vectors, readable.items, folds=folds, seed=seed)
    method = f"{found.method}, on {encoder.info.name}, which has seen: {encoder.info.seen}"
    return LabelCheck(found.suspects, method, read.unreadable)


def check_vectors(
    vectors: NDArray[np.floating],
    items: Sequence[Example],
    *,
    folds: int = FOLDS,
    seed: int = 0,
) -> LabelCheck:
    """Return the labels of cells whose vectors are known: seconds for thousands.

    Parameters
    ----------
    vectors
        ``(n, dim)``.
    items
        ``n`` cells with their labels; of two classes or more, each with two cells or more.

    Raises
    ------
    TrainingError
        cleanlab is not installed.
    """
    classes, targets = np.unique([one.label for one in items], return_inverse=True)
    groups = [one.group for one in items]
    said = out_of_fold_heads(vectors, targets, groups=groups, folds=folds, seed=seed)
    held = "whole groups" if said.grouped else "cells, whatever their group,"
    suspects = suspects_of(items, [str(one) for one in classes], said.probabilities)
    return LabelCheck(suspects, f"Linear heads; {held} held out in {folds} folds")


def check_out_of_fold(folder: Path) -> LabelCheck:
    """Return the labels by the networks of a cross-validated training.

    Raises
    ------
    TrainingError
        The folder holds no cross-validation, or cleanlab is not installed.
    """
    found = read_findings(folder)
    if found.part != "out-of-fold":
        raise TrainingError(
            f"“{folder}” holds one training: train with --folds 5 first, so that each picture is "
            "judged by a network that has not learned from it."
        )
    items = [Example(one.path, one.label, one.group, one.name) for one in found.items]
    said = np.array([one.probabilities for one in found.items])
    weights = found.run.get("weights", "")
    method = f"Networks of a cross-validation, started from {weights}"
    return LabelCheck(suspects_of(items, found.classes, said), method)


def suspects_of(
    items: Sequence[Example], classes: Sequence[str], probabilities: NDArray[np.floating]
) -> tuple[Suspect, ...]:
    """Return every picture, the likeliest wrong label first.

    Parameters
    ----------
    probabilities
        ``(n, k)`` by models that have not seen the picture; columns as `classes`.
    """
    place = {name: number for number, name in enumerate(classes)}
    targets = np.array([place[one.label] for one in items], dtype=np.int64)
    quality = label_quality(targets, probabilities)
    return tuple(
        Suspect(
            name=items[n].name,
            path=items[n].path,
            label=items[n].label,
            suggested=classes[quality.suggested[n]],
            score=float(quality.scores[n]),
            confidence=float(probabilities[n, quality.suggested[n]]),
            flagged=bool(quality.flagged[n]),
        )
        for n in quality.order()
    )


def write_suspects(file: Path, suspects: Sequence[Suspect]) -> None:
    """Write a row a picture, in the order given; ``read_suspects`` reads it back."""
    rows = (
        (one.name, str(one.path), one.label, one.suggested, f"{one.score:.6f}",
         f"{one.confidence:.6f}", int(one.flagged))
        for one in suspects
    )  # fmt: skip
    write_csv(file, COLUMNS, rows)
