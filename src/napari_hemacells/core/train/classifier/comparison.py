"""A comparison's table: what came of each variant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.core.train.classifier.artifacts import ClassifierTrainingOutcome

METRICS = ("accuracy", "balanced accuracy", "kappa", "macro F1")
WITH_INTERVALS = tuple(f"{part} {name}" for part in ("validation", "test") for name in METRICS)
HEADING = (
    "variant", "architecture", "train loss", "validation loss",
    *(column for name in WITH_INTERVALS for column in (name, f"{name} low", f"{name} high")),
    "parameters", "training seconds", "milliseconds a crop", "weights",
)  # fmt: skip
SHOWN = (
    "variant", "validation accuracy", "validation balanced accuracy", "test accuracy",
    "test balanced accuracy", "validation loss", "parameters", "training seconds",
    "milliseconds a crop", "weights",
)  # fmt: skip


@dataclass(frozen=True)
class ArchitectureComparison:
    """What came of each variant.

    Attributes
    ----------
    rows
        As ``HEADING`` names them, in the order asked for; empty text where there is no figure.
    failed
        A sentence for each variant that could not be trained.
    outcomes
        Of each row.
    page
        The page of HTML; ``None`` before it is written.
    """

    folder: Path
    rows: tuple[tuple[Any, ...], ...]
    failed: dict[str, str]
    outcomes: tuple[ClassifierTrainingOutcome, ...] = ()
    page: Path | None = None

    def records(self) -> list[dict[str, Any]]:
        """Return the rows by the names of their columns."""
        return [dict(zip(HEADING, row, strict=True)) for row in self.rows]

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return heading and rows as they are shown: a figure with its interval in one cell.

        Without a test part there are no columns for it.
        """
        records = self.records()
        shown = tuple(
            name for name in SHOWN if any(record[name] not in {"", None} for record in records)
        )
        return shown, [tuple(_cell(record, name) for name in shown) for record in records]

    def as_markdown(self) -> str:
        """Return the table for a text."""
        heading, rows = self.table()
        lines = [heading, ("---", *("---:",) * (len(heading) - 1)), *rows]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(record: dict[str, Any], name: str) -> str:
    value = record[name]
    if value in {"", None}:
        return "–"
    if name in WITH_INTERVALS:
        low, high = (record[f"{name} {bound}"] for bound in ("low", "high"))
        return f"{value:.3f}" + ("" if low == "" else f" ({low:.3f} to {high:.3f})")
    if name == "parameters":
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/")
