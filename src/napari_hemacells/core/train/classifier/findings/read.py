"""A training's folder → its findings. Neither torch nor the pictures are needed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.evaluate.classification import Figure
from napari_hemacells.core.train.classifier.findings.records import (
    BinaryFigures,
    ClassFigures,
    Figures,
    Findings,
    Item,
    JudgedPart,
    ReliabilityBin,
    Suspect,
    confusion_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

CROSS_VALIDATED = "out_of_fold.csv"
FILES: dict[JudgedPart, str] = {
    "test": "test.csv",
    "out-of-fold": CROSS_VALIDATED,
    "validation": "validation.csv",
}
SUSPECTS = "suspects.csv"


def read_findings(folder: Path) -> Findings:
    """Return what a training, or a cross-validation, left in its folder.

    Raises
    ------
    TrainingError
        The folder holds no finished training.
    """
    figures = figures_from(read_json(folder / "figures.json"))
    part = next((one for one in FILES if one in figures), None)
    if part is None:
        raise _unfinished(folder)
    items = read_items(folder / FILES[part], _groups(folder))
    classes = tuple(one.name for one in figures[part].classes)
    run = folder if (folder / "run.json").is_file() else folder / "fold1"
    return Findings(
        folder=folder,
        part=part,
        classes=classes,
        items=items,
        figures=figures[part],
        confusion=confusion_of(items, classes),
        suspects=read_suspects(folder / SUSPECTS),
        run=read_json(run / "run.json"),
        figures_of=figures,
    )


def read_items(table: Path, groups: Mapping[str, str] | None = None) -> tuple[Item, ...]:
    """Return the rows of ``validation.csv`` or another table of answers.

    Raises
    ------
    TrainingError
        The table cannot be read.
    """
    groups = groups or {}
    try:
        return tuple(
            Item(
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
    """Return what ``hemacells check-labels`` wrote, the worst first; nothing without the file."""
    if not table.is_file():
        return ()
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


def figures_from(content: Mapping[str, Any]) -> dict[JudgedPart, Figures]:
    """Return what ``figures.json`` holds, typed; with averaged copies their figures."""
    named: dict[JudgedPart, Any] = {
        "test": content.get("test"),
        "out-of-fold": content.get("pooled"),
        "validation": content.get("validation"),
    }
    return {part: _figures(one.get("tta", one)) for part, one in named.items() if one}


def _figures(content: Mapping[str, Any]) -> Figures:
    overall = ("accuracy", "balanced_accuracy", "kappa", "macro_f1")
    return Figures(
        n=content["n"],
        **{name: _figure(content[name]) for name in overall},
        log_loss=content["log_loss"],
        ece=content["ece"],
        resampled=content["resampled"],
        reliability=tuple(
            ReliabilityBin(one["from"], one["to"], one["n"], one["confidence"], one["accuracy"])
            for one in content["reliability"]
        ),
        classes=tuple(
            ClassFigures(
                name, row["n"], *(_figure(row[one]) for one in ("precision", "recall", "f1"))
            )
            for name, row in content["classes"].items()
        ),
        binary=_binary(content["binary"]) if "binary" in content else None,
        copies=content.get("copies", 0),
        groups=content.get("groups", 0),
        by_group=_figures(content["by_group"]) if "by_group" in content else None,
    )


def _binary(content: Mapping[str, Any]) -> BinaryFigures:
    curve = content.get("roc", {"false_positive_rate": (), "true_positive_rate": ()})
    rates = (curve["false_positive_rate"], curve["true_positive_rate"])
    return BinaryFigures(
        positive=content["positive"],
        sensitivity=_figure(content["sensitivity"]),
        specificity=_figure(content["specificity"]),
        auc=_figure(content["auc"]),
        roc=tuple(zip(*rates, strict=True)),
    )


def _figure(content: Mapping[str, float | None]) -> Figure:
    value, low, high = (content[name] for name in ("value", "low", "high"))
    return Figure(*(float("nan") if one is None else one for one in (value, low, high)))


def _groups(folder: Path) -> dict[str, str]:
    """Return the group of each picture by its name."""
    file = folder / "split.csv"
    return {row["path"]: row["group"] for row in _rows(file)} if file.is_file() else {}


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def read_json(file: Path) -> dict[str, Any]:
    """Return what a JSON file of a training holds; raises :class:`TrainingError`."""
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unfinished(file.parent) from error
    return content


def _unfinished(folder: Path) -> TrainingError:
    return TrainingError(
        f"“{folder}” holds no finished training: name the folder that was given with --out, and "
        "let an interrupted training end first (the same command goes on with it)."
    )
