"""The table of a study of the size of crops: a row for each size and network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

HEADING = ("size", "network", "learned from", "n", "accuracy", "low", "high",
           "balanced accuracy", "balanced low", "balanced high", "macro F1",
           "validation accuracy", "interval", "seen", "seconds")  # fmt: skip


@dataclass(frozen=True)
class CropSizeStudy:
    """What came of a study.

    Attributes
    ----------
    records
        A row of the table each, by the names of its columns; figures are of the test part.
    histories
        Validation loss of each round of each network from scratch, by size.
    failed
        Why a network could not be trained, by its name.
    split
        How the crops were divided, in words.
    """

    folder: Path
    records: tuple[dict[str, Any], ...]
    histories: dict[int, tuple[float, ...]]
    failed: dict[str, str]
    split: str
    notes: tuple[str, ...] = ()
    page: Path | None = None

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return heading and rows as they are shown, a figure with its interval in one cell."""
        heading = ("size (px)", "network", "learned from", "test accuracy",
                   "balanced accuracy", "validation accuracy", "interval of")  # fmt: skip
        return heading, [
            (
                str(row["size"]),
                row["network"],
                row["learned from"],
                _with_interval(row["accuracy"], row["low"], row["high"]),
                _with_interval(
                    row["balanced accuracy"], row["balanced low"], row["balanced high"]
                ),
                "–" if row["validation accuracy"] is None else f"{row['validation accuracy']:.3f}",
                row["interval"],
            )
            for row in self.records
        ]

    def as_markdown(self) -> str:
        """Return the table for a text."""
        heading, rows = self.table()
        lines = [heading, ("---:", "---", "---", "---:", "---:", "---:", "---"), *rows]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _with_interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" + ("" if low is None else f" ({low:.3f} to {high:.3f})")
