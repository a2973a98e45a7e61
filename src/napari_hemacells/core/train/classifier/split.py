"""Which pictures are learned from, which check: by a stable hash, so that none ever moves."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.evaluate import in_validation
from napari_hemacells.core.files.fsio import read_bytes, write_bytes
from napari_hemacells.core.train.classifier.own_split import (
    check_given,
    given_notes,
    parts_given,
    with_few_shots,
)
from napari_hemacells.core.train.classifier.units import split_units, without_group

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.train.classifier.crop_store import LoadedExamples
    from napari_hemacells.core.train.classifier.dataset import SplitPart

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
    given
        Whether the user has said which part pictures belong to.
    """

    rule: SplitRule
    parts: tuple[SplitPart, ...]
    units: tuple[str, ...]
    grouped: bool
    notes: tuple[str, ...]
    given: bool = False

    def places(self, part: SplitPart) -> NDArray[np.int64]:
        """``(m,)`` places of the pictures of a part, ascending."""
        return np.array(
            [n for n, item_part in enumerate(self.parts) if item_part == part], dtype=np.int64
        )

    def describe(self) -> str:
        """How the pictures were split, for the report."""
        how = "whole groups" if self.grouped else "ungrouped: cells of one patient may be in both"
        counts = Counter(self.parts)
        named = (*PARTS, "unused")
        summary = ", ".join(f"{counts[part]} {part}" for part in named if counts[part])
        by = f"by a hash of their content, seed {self.rule.seed}"
        return f"{summary}; {'as the column split says' if self.given else by}; {how}"


def split_examples(
    loaded: LoadedExamples, rule: SplitRule, known: Mapping[str, SplitPart] | None = None
) -> ClassifierSplit:
    """Return the parts of the pictures.

    A unit is a group, with copies of its pictures; a picture without a group is a unit of its
    own. Its part follows from its own hash alone: nothing that is added moves it. Only where that
    would leave a class without a picture in a part, the unit of that class nearest to it is put
    there; `known` keeps that, too, from changing later. What the user has decided goes first.

    Raises
    ------
    TrainingError
        The user's own parts cannot be used: see :mod:`.own_split`.
    """
    items = loaded.examples.items
    grouped = loaded.examples.grouped and not rule.ungrouped
    units = split_units(items, loaded.digests, ungrouped=not grouped)
    check_given(items, folds=rule.folds, test=rule.test)
    given = parts_given(items, units)
    part_of: dict[str, SplitPart] = {unit: rule.part(unit) for unit in units}
    part_of |= {unit: part for unit, part in (known or {}).items() if unit in part_of}
    notes = []
    if given:
        checked = "validation" in given.values()
        fixed = {unit: part for unit, part in given.items() if checked or part == "test"}
        # Without a part that checks, some of what teaches does; what tests is never learned from.
        for unit, part in part_of.items():
            part_of[unit] = "train" if part == "test" else part
        part_of |= fixed
        if not checked:
            notes.append("The column split has no validation: some of train was held out for it.")
        given = fixed
    notes += given_notes(items, given)
    notes += _fill_gaps([item.label for item in items], units, part_of, rule, set(given))
    if grouped and (alone := without_group(items, units)):
        notes.insert(
            0,
            f"{alone} of {len(items)} pictures have no patient or slide: each is a group of its "
            "own.",
        )
    if not grouped:
        reason = "as asked for" if loaded.examples.grouped else "none is known"
        notes.insert(0, f"The split ignores patients and slides ({reason}).")
    return ClassifierSplit(
        rule, tuple(part_of[unit] for unit in units), units, grouped, tuple(notes), bool(given)
    )


def few_shots(loaded: LoadedExamples, split: ClassifierSplit, shots: int) -> ClassifierSplit:
    """Return the split with so many pictures of each class to learn from.

    Raises
    ------
    TrainingError
        A class has fewer.
    """
    parts = with_few_shots(
        loaded.examples.items,
        split.units,
        loaded.digests,
        split.parts,
        shots=shots,
        seed=split.rule.seed,
        given=split.given,
    )
    note = f"{shots} pictures of each class were learned from, chosen by their hashes."
    return replace(split, parts=parts, notes=(*split.notes, note))


def save_split(file: Path, split: ClassifierSplit) -> None:
    """Keep the part of every unit, for later trainings with more pictures."""
    parts = dict(sorted(zip(split.units, split.parts, strict=True)))
    content = {"rule": vars(split.rule), "parts": parts}
    write_bytes(file, json.dumps(content, indent=1).encode())


def load_split(file: Path, rule: SplitRule) -> dict[str, SplitPart]:
    """Return the parts kept by :func:`save_split` under the same rule; none without the file."""
    try:
        content: dict[str, Any] = json.loads(read_bytes(file, _LIMIT))
        if content["rule"] != vars(rule):
            return {}
        return {unit: part for unit, part in content["parts"].items() if part in PARTS}
    except (StorageError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def _fill_gaps(
    labels: list[str],
    units: tuple[str, ...],
    part_of: dict[str, SplitPart],
    rule: SplitRule,
    fixed: Collection[str] = (),
) -> list[str]:
    """Move the unit with the least hash into a part where a class would be missing.

    Units in `fixed` stay where they are.
    """
    notes = []
    for label in sorted(set(labels)):
        own = sorted({unit for unit, given in zip(units, labels, strict=True) if given == label})
        own.sort(key=lambda unit: hashlib.sha256(f"{rule.seed}/gap/{unit}".encode()).digest())
        for part in rule.wanted():
            there = Counter(part_of[unit] for unit in own)
            spare = [unit for unit in own if there[part_of[unit]] > 1 and unit not in fixed]
            if there[part] == 0 and spare:
                part_of[spare[0]] = part
                notes.append(f"“{label}” has few pictures: one was put into {part} by hand.")
            elif there[part] == 0:
                notes.append(f"“{label}” has no picture in {part}.")
    return notes
