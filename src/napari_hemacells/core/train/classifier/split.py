"""Which pictures are learned from, which check: by a stable hash, so that none ever moves."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.evaluate import in_validation
from napari_hemacells.core.fsio import read_bytes, write_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.train.classifier.crop_store import LoadedExamples

SplitPart: TypeAlias = Literal["train", "validation", "test"]
PARTS: tuple[SplitPart, ...] = ("train", "validation", "test")
_LIMIT = 2**28


@dataclass(frozen=True)
class SplitRule:
    """How parts are chosen.

    Attributes
    ----------
    validation, test
        Their shares.
    folds, fold
        With two folds or more, validation is that fold (0 first) and there is no test part.
    ungrouped
        Cell by cell even where groups are known.
    """

    validation: float = 0.2
    test: float = 0.0
    seed: int = 0
    folds: int = 0
    fold: int = 0
    ungrouped: bool = False

    def part(self, unit: str) -> SplitPart:
        """Return the part of a unit (a group, or a picture's content): the same everywhere."""
        if self.folds > 1:
            below = in_validation(unit, self.fold / self.folds, self.seed)
            inside = in_validation(unit, (self.fold + 1) / self.folds, self.seed)
            return "validation" if inside and not below else "train"
        if in_validation(unit, self.test, self.seed):
            return "test"
        upto = self.test + self.validation
        return "validation" if in_validation(unit, upto, self.seed) else "train"

    def wanted(self) -> tuple[SplitPart, ...]:
        """The parts that must not be empty."""
        return PARTS if self.test and self.folds < 2 else PARTS[:2]


@dataclass(frozen=True, eq=False)
class ClassifierSplit:
    """The parts, and what a reader must know of them.

    Attributes
    ----------
    parts
        Part of each picture.
    units
        What was kept together with each.
    grouped
        Whether units are groups.
    notes
        Sentences for the report.
    """

    rule: SplitRule
    parts: tuple[SplitPart, ...]
    units: tuple[str, ...]
    grouped: bool
    notes: tuple[str, ...]

    def places(self, part: SplitPart) -> NDArray[np.int64]:
        """``(m,)`` places of the pictures of a part, ascending."""
        return np.array(
            [n for n, item_part in enumerate(self.parts) if item_part == part], dtype=np.int64
        )

    def describe(self) -> str:
        """How the pictures were split, for the report."""
        how = "whole groups" if self.grouped else "ungrouped: cells of one patient may be in both"
        counts = Counter(self.parts)
        summary = ", ".join(f"{counts[part]} {part}" for part in PARTS if counts[part])
        return f"{summary}; by a hash of their content, seed {self.rule.seed}; {how}"


def split_examples(
    loaded: LoadedExamples, rule: SplitRule, known: Mapping[str, SplitPart] | None = None
) -> ClassifierSplit:
    """Return the parts of the pictures.

    A unit is a group where all groups are known, otherwise a picture's content, so that copies
    stay together. Its part follows from its own hash alone: nothing that is added moves it. Only
    where that would leave a class without a picture in a part, the unit of that class nearest to
    it is put there; `known` keeps that, too, from changing later.
    """
    items = loaded.examples.items
    grouped = loaded.examples.grouped and not rule.ungrouped
    units = tuple(
        f"group/{item.group}" if grouped else f"crop/{digest}"
        for item, digest in zip(items, loaded.digests, strict=True)
    )
    part_of: dict[str, SplitPart] = {unit: rule.part(unit) for unit in units}
    part_of |= {unit: part for unit, part in (known or {}).items() if unit in part_of}
    notes = _fill_gaps([item.label for item in items], units, part_of, rule)
    if not grouped:
        some = any(item.group for item in items)
        why = "not all pictures have one" if some else "none is known"
        reason = "as asked for" if rule.ungrouped and loaded.examples.grouped else why
        notes.insert(0, f"The split ignores patients and slides ({reason}).")
    return ClassifierSplit(
        rule, tuple(part_of[unit] for unit in units), units, grouped, tuple(notes)
    )


def save_split(file: Path, split: ClassifierSplit) -> None:
    """Keep the part of every unit, for later trainings with more pictures."""
    parts = dict(sorted(zip(split.units, split.parts, strict=True)))
    content = {"rule": vars(split.rule), "parts": parts}
    write_bytes(file, json.dumps(content, indent=1).encode())


def load_split(file: Path, rule: SplitRule) -> dict[str, SplitPart]:
    """Return the parts kept by :func:`save_split` under the same rule; none without the file."""
    try:
        content: dict[str, Any] = json.loads(read_bytes(file, _LIMIT))
    except (StorageError, ValueError):
        return {}
    if content.get("rule") != vars(rule):
        return {}
    return {unit: part for unit, part in content["parts"].items() if part in PARTS}


def _fill_gaps(
    labels: list[str], units: tuple[str, ...], part_of: dict[str, SplitPart], rule: SplitRule
) -> list[str]:
    """Move the unit with the least hash into a part where a class would be missing."""
    notes = []
    for label in sorted(set(labels)):
        own = sorted({unit for unit, given in zip(units, labels, strict=True) if given == label})
        own.sort(key=lambda unit: hashlib.sha256(f"{rule.seed}/gap/{unit}".encode()).digest())
        for part in rule.wanted():
            there = Counter(part_of[unit] for unit in own)
            spare = [unit for unit in own if there[part_of[unit]] > 1]
            if there[part] == 0 and spare:
                part_of[spare[0]] = part
                notes.append(f"“{label}” has few pictures: one was put into {part} by hand.")
            elif there[part] == 0:
                notes.append(f"“{label}” has no picture in {part}.")
    return notes
