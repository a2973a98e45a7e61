"""A split that the user has made: used whole, or refused with the reason, never ignored."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_hemacells.core.train.classifier.dataset import Example, SplitPart


def parts_given(items: Sequence[Example], units: Sequence[str]) -> dict[str, SplitPart]:
    """Return the parts that the user has chosen, by unit.

    Raises
    ------
    TrainingError
        Pictures of one group, or copies of one picture, are in several parts.
    """
    given: dict[str, SplitPart] = {}
    for item, unit in zip(items, units, strict=True):
        if item.part and given.setdefault(unit, item.part) != item.part:
            raise TrainingError(
                f"The column split (or the folders) puts pictures of one group "
                f"({unit.partition('/')[2]}: “{item.name}”) into {given[unit]} and {item.part}: a "
                "group, and copies of a picture, belong into one part. Correct the table."
            )
    return given


def check_given(items: Sequence[Example], *, folds: int, test: float) -> None:
    """Refuse a split of the user's that cannot be used as it is.

    Raises
    ------
    TrainingError
        It has no training part, a class is missing from that, or the options ask for other parts.
    """
    given = [item for item in items if item.part]
    if not given:
        return
    if folds > 1:
        raise TrainingError(
            "The pictures come with parts of their own (folders train, test …, or a column split) "
            "and cross-validation makes others: leave --folds out, or give the pictures without "
            "parts."
        )
    if test:
        raise TrainingError(
            "The pictures come with parts of their own, so --test cannot choose others: leave it "
            "out, or give the pictures without parts."
        )
    if len(given) == len(items):
        learned = Counter(item.label for item in items if item.part == "train")
        if not learned:
            raise TrainingError(
                "The split has no part train: nothing could be learned from. Call one part train."
            )
        missing = sorted({item.label for item in items} - learned.keys())
        if missing:
            named = ", ".join(f"“{name}”" for name in missing)
            raise TrainingError(
                f"The split’s part train has no picture of {named}: add some to it, or leave the "
                "class out of the other parts."
            )


def with_few_shots(
    items: Sequence[Example],
    units: Sequence[str],
    digests: Sequence[str],
    parts: Sequence[SplitPart],
    *,
    shots: int,
    seed: int,
    given: bool,
) -> tuple[SplitPart, ...]:
    """Return the parts with so many pictures of each class in train, chosen by their hashes.

    The others of train test; where the user has chosen what tests, they are not used. Those of
    the same group as a chosen one are never used: they are no test of it.

    Raises
    ------
    TrainingError
        A class has fewer pictures to learn from.
    """
    chosen: list[int] = []
    for label in sorted({item.label for item in items}):
        own = [
            place
            for place, (item, part) in enumerate(zip(items, parts, strict=True))
            if item.label == label and part == "train"
        ]
        if len(own) < shots:
            raise TrainingError(
                f"“{label}” has {len(own)} pictures to learn from, fewer than --shots {shots}: "
                "add pictures, or ask for fewer."
            )
        own.sort(key=lambda place: _rank(digests[place], seed))
        chosen += own[:shots]
    learned, kept = {units[place] for place in chosen}, set(chosen)
    left: SplitPart = "unused" if given else "test"
    return tuple(
        part
        if part != "train" or place in kept
        else ("unused" if units[place] in learned else left)
        for place, part in enumerate(parts)
    )


def _rank(digest: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/shots/{digest}".encode()).digest()


def given_notes(items: Sequence[Example], given: Mapping[str, SplitPart]) -> list[str]:
    """Return what a reader must know of a split that the user has made in part."""
    if not given:
        return []
    without = sum(not item.part for item in items)
    notes = []
    if without:
        notes.append(
            f"{without} of {len(items)} pictures have no part in the column split: a hash put "
            "them into train or validation."
        )
    return notes
