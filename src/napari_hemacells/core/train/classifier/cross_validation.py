"""Every picture judged by a network that has not learned from it: cross-validation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.evaluate.classification_metrics import compute_classification_metrics
from napari_hemacells.core.files.text_tables import read_table
from napari_hemacells.core.train.classifier.artifacts import (
    CrossValidationResult,
    write_csv,
    write_json,
)
from napari_hemacells.core.train.classifier.pipeline import train_steps
from napari_hemacells.core.train.classifier.report import with_report_steps
from napari_hemacells.core.train.classifier.results import read_run

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_hemacells.core.train.classifier.artifacts import ClassifierTrainingOutcome
    from napari_hemacells.core.train.classifier.training import TrainJob
    from napari_hemacells.core.train.progress import TrainingReport

OUT_OF_FOLD = "out_of_fold.csv"
OVERALL = ("accuracy", "balanced_accuracy", "kappa", "macro_f1", "log_loss", "ece")


def cross_validate_steps(
    job: TrainJob, folds: int
) -> Generator[TrainingReport, None, CrossValidationResult]:
    """Return the figures over all folds; yield at every step.

    Raises
    ------
    TrainingError
        As :func:`~.run.train_steps`.
    """
    outcomes = []
    for fold in range(folds):
        own = replace(job, folds=folds, fold=fold, report=False,
                      folder=job.folder / f"fold{fold + 1}")  # fmt: skip
        steps = train_steps(own)
        while True:
            try:
                report = next(steps)
            except StopIteration as end:
                outcomes.append(end.value)
                break
            message = f"Fold {fold + 1} of {folds}: {report.message}"
            yield replace(report, message=message)
    table = _join(job.folder, outcomes)
    figures = {
        "pooled": _pooled(table),
        "folds": [_short(outcome.figures["validation"]) for outcome in outcomes],
    }
    write_json(job.folder / "figures.json", figures)
    result = CrossValidationResult(job.folder, figures, table, tuple(outcomes))
    return (yield from with_report_steps(result)) if job.report else result


def _join(folder: Path, outcomes: list[ClassifierTrainingOutcome]) -> Path:
    """Write the validation tables of all folds as one, each picture once."""
    heading: list[str] = []
    rows: dict[str, list[str]] = {}
    for number, outcome in enumerate(outcomes, start=1):
        table = read_table(outcome.folder / "validation.csv")
        heading = list(table.columns)
        groups = _units(outcome.folder)
        for _, cells in table.rows:  # a class with few pictures may show one in two folds
            row = [cell or "" for cell in cells]
            rows.setdefault(row[1], [*row[:2], str(number), groups.get(row[0], ""), *row[2:]])
    file = folder / OUT_OF_FOLD
    write_csv(file, (*heading[:2], "fold", "group", *heading[2:]), rows.values())
    return file


def _units(folder: Path) -> dict[str, str]:
    """Return the group of each picture; none where the split ignored them."""
    if not read_run(folder / "run.json").get("grouped"):
        return {}
    rows = read_table(folder / "split.csv").records()
    return {row["path"]: row["group"] or row["digest"] for row in rows}


def _pooled(table: Path) -> dict[str, Any]:
    rows = read_table(table).records()
    classes = [name.removeprefix("p_") for name in rows[0] if name.startswith("p_")]
    truth = np.array([classes.index(row["label"]) for row in rows], dtype=np.int64)
    probabilities = np.array([[float(row[f"p_{name}"]) for name in classes] for row in rows])
    groups = [row["group"] for row in rows]
    return compute_classification_metrics(
        truth, probabilities, classes, groups=groups if all(groups) else None
    )


def _short(figures: dict[str, Any]) -> dict[str, Any]:
    return {"n": figures["n"]} | {name: figures[name] for name in OVERALL}
