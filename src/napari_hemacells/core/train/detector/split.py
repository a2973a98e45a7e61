"""Which fields are learned from and which are held out: stable, and nothing in both."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_hemacells.core.evaluate.splits import in_validation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.core.train.detector.dataset import Box, TrainingField

MIN_FIELDS = 3  # fields; with fewer, a part of each is held out
HELD_OUT = 0.25
STRIP = 0.3  # of the longer side, with few fields


@dataclass(frozen=True)
class FieldPart:
    """A part of a field, or all of it.

    Attributes
    ----------
    field
        Its place in the list of fields.
    box
        Half-open, in pixels.
    """

    field: int
    box: Box


@dataclass(frozen=True)
class DetectorSplit:
    """What is learned from, what is held out, and how that was decided, in words."""

    learn: tuple[FieldPart, ...]
    held_out: tuple[FieldPart, ...]
    words: str

    def fields_of(self, fields: Sequence[TrainingField]) -> list[TrainingField]:
        """Return the fields that are learned from, cut where a part of them is held out."""
        return [fields[part.field].part(part.box) for part in self.learn]


def split_fields(fields: Sequence[TrainingField]) -> DetectorSplit:
    """Return the split: a quarter of the groups by a hash of each, or strips of few fields.

    A group (patient, slide, or the image alone) is on the same side in every training, however
    many fields are added, as long as both sides have any.
    """
    groups = sorted({field.group for field in fields}, key=_hash_fraction)
    if len(fields) < MIN_FIELDS:
        return _split_into_strips(fields, f"fewer than {MIN_FIELDS} fields")
    if len(groups) < 2:
        return _split_into_strips(fields, "all fields come from one patient or slide")
    held = [group for group in groups if in_validation(group, HELD_OUT)]
    held = held[: len(groups) - 1] or groups[:1]  # one at least on each side
    parts = [
        (field.group in held, FieldPart(index, _whole(field)))
        for index, field in enumerate(fields)
    ]
    named = all(field.group.startswith("image/") for field in fields)
    what = "whole images" if named else "whole patients, slides or images"
    return DetectorSplit(
        tuple(part for out, part in parts if not out),
        tuple(part for out, part in parts if out),
        f"{what}, chosen by a hash of their identity"
        + ("; no patient or slide is known, so images of one may be on both sides" * named),
    )


def _split_into_strips(fields: Sequence[TrainingField], why: str) -> DetectorSplit:
    """Return a split that holds out a strip at one end of each field."""
    learn, held = [], []
    for index, field in enumerate(fields):
        kept, out = _strip_boxes(field)
        learn.append(FieldPart(index, kept))
        held.append(FieldPart(index, out))
    return DetectorSplit(
        tuple(learn),
        tuple(held),
        f"{why}: in each image a strip of {STRIP:.0%} at one end is held out; it shows the same "
        "slide as the rest, so other slides may do worse",
    )


def _strip_boxes(field: TrainingField) -> tuple[Box, Box]:
    """Return what is kept of a field and the strip at one end of its longer side."""
    rows, cols = field.pixels.shape[:2]
    first = _hash_fraction(field.key) < 0.5
    long = max(rows, cols)
    cut = round(long * (STRIP if first else 1 - STRIP))
    if rows > cols:
        near, far = (0, 0, cut, cols), (cut, 0, rows, cols)
    else:
        near, far = (0, 0, rows, cut), (0, cut, rows, cols)
    return (far, near) if first else (near, far)


def _whole(field: TrainingField) -> Box:
    rows, cols = field.pixels.shape[:2]
    return 0, 0, rows, cols


def _hash_fraction(name: str) -> float:
    """Return a number in 0 to 1 that belongs to the name on every computer."""
    digest = hashlib.sha256(f"0/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
