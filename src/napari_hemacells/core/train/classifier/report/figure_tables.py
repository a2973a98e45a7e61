"""What a training wrote for its figures: rate searches, and the pictures of each class."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from napari_hemacells.core.files.text_tables import read_table
from napari_hemacells.core.train.classifier.artifacts import (
    BODY_RATE_FINDER,
    RATE_FINDER,
    LRCurve,
)
from napari_hemacells.core.train.classifier.results import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FINDERS = {
    RATE_FINDER: "Loss at each learning rate",
    BODY_RATE_FINDER: "Loss at each rate, the body unfrozen",
}
PARTS = ("train", "validation", "test", "unused")


class RateSearch(NamedTuple):
    """A search of the learning rate, and the rate that was taken."""

    title: str
    curve: LRCurve
    taken: float


def read_rate_searches(folder: Path) -> tuple[RateSearch, ...]:
    """Return a training's rate searches; none where the rates were given."""
    return tuple(
        _search(folder / name, title)
        for name, title in FINDERS.items()
        if (folder / f"{name}.csv").is_file()
    )


def _search(stem: Path, title: str) -> RateSearch:
    table = read_table(stem.with_suffix(".csv"))
    rows = [(float(row["rate"]), float(row["loss"])) for row in table.records()]
    rates, losses = zip(*rows, strict=True)
    record = read_json(stem.with_suffix(".json"))
    suggestion = float(record["suggestion"])
    taken = float(record.get("taken", suggestion))
    return RateSearch(title, LRCurve(rates, losses, suggestion), taken)


class ClassBalance(NamedTuple):
    """How many pictures of each class were in each part of a training."""

    parts: Mapping[str, Mapping[str, int]]
    classes: tuple[str, ...]


def read_class_balance(folder: Path) -> ClassBalance:
    """Return the pictures of each class and part, of a folder with ``split.csv``."""
    parts: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
    for row in read_table(folder / "split.csv").records():
        parts.setdefault(row["part"], Counter())[row["label"]] += 1
    classes = sorted({name for counts in parts.values() for name in counts})
    return ClassBalance(parts, tuple(classes))
