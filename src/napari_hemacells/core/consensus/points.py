"""The points that several annotators put on the same images."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import Any

    from numpy.typing import NDArray

MAX_POINTS = 2_000_000
MAX_PLACE = 1e7  # pixels; no image is larger, and frames side by side stay exact in float64
ALIVE, DEAD, NOT_SURE = "alive", "dead", "not sure"
STATE_VALUES = {ALIVE: 1.0, NOT_SURE: 0.5, DEAD: 0.0}
_SAME_WORDS = {
    "alive": ALIVE, "live": ALIVE, "living": ALIVE, "viable": ALIVE,
    "dead": DEAD, "nonviable": DEAD,
    "not sure": NOT_SURE, "unsure": NOT_SURE, "not sure alive": NOT_SURE,
    "not sure mitochondria": NOT_SURE, "dont know": NOT_SURE, "don't know": NOT_SURE,
}  # fmt: skip


def standard_class(name: str) -> str:
    """Return a class as it is called here: alive, dead and not sure by one name each.

    Examples
    --------
    >>> standard_class("not_sure_alive"), standard_class("Live"), standard_class("Lymphocyte")
    ('not sure', 'alive', 'Lymphocyte')
    """
    text = " ".join(name.split())
    return _SAME_WORDS.get(re.sub(r"[\s_-]+", " ", text.casefold()), text)


@dataclass(frozen=True, eq=False)
class AnnotatorPoints:
    """Points of several annotators on several images.

    Attributes
    ----------
    images, annotators, classes
        Their names; ``classes`` has :data:`NOT_SURE` where somebody said so.
    image, annotator
        ``(n,)`` of each point: which of `images`, of `annotators`.
    position
        ``(n, 2)`` row and column in pixels.
    response
        ``(n,)`` which of `classes` the annotator said, -1 where no class was given.
    looked
        ``(k, 2)`` unique pairs of image and annotator: who looked at which image, with points or
        without.
    anonymous
        Whether an annotator's name says nothing: the first, the second answer to an image may be
        somebody else's on the next.
    """

    images: tuple[str, ...]
    annotators: tuple[str, ...]
    classes: tuple[str, ...]
    image: NDArray[np.int64]
    annotator: NDArray[np.int64]
    position: NDArray[np.float64]
    response: NDArray[np.int64]
    looked: NDArray[np.int64]
    anonymous: bool = False

    def __len__(self) -> int:
        return len(self.image)

    @property
    def lookers(self) -> NDArray[np.bool_]:
        """``(images, annotators)`` who looked at which image."""
        table = np.zeros((len(self.images), len(self.annotators)), bool)
        table[self.looked[:, 0], self.looked[:, 1]] = True
        return table

    @property
    def has_states(self) -> bool:
        """Whether the classes are alive, dead and not sure, so that a state can be averaged."""
        return bool(self.classes) and set(self.classes) <= set(STATE_VALUES)

    @property
    def truths(self) -> NDArray[np.int64]:
        """Which of `classes` a cell can be: all but "not sure"."""
        return np.array([at for at, name in enumerate(self.classes) if name != NOT_SURE], int)

    @property
    def states(self) -> NDArray[np.float64]:
        """``(n,)`` 1 alive, 0 dead, 0.5 not sure; NaN without a class or for other classes."""
        values = [STATE_VALUES.get(name, np.nan) if self.has_states else np.nan
                  for name in self.classes]  # fmt: skip
        return np.array([*values, np.nan])[self.response]

    def without_annotators(self, numbers: Collection[int]) -> AnnotatorPoints:
        """Return the points without those of some annotators; names and numbers stay."""
        gone = list(numbers)
        mine, seen = ~np.isin(self.annotator, gone), ~np.isin(self.looked[:, 1], gone)
        return replace(
            self,
            image=self.image[mine],
            annotator=self.annotator[mine],
            position=self.position[mine],
            response=self.response[mine],
            looked=self.looked[seen],
        )

    def of_images(self, names: Iterable[str]) -> AnnotatorPoints:
        """Return the points of some images only; annotators and classes stay in place."""
        wanted = set(names)
        kept = [at for at, name in enumerate(self.images) if name in wanted]
        number = np.full(len(self.images), -1)
        number[kept] = np.arange(len(kept))
        mine, seen = number[self.image] >= 0, number[self.looked[:, 0]] >= 0
        looked = self.looked[seen].copy()
        looked[:, 0] = number[looked[:, 0]]
        return replace(
            self,
            images=tuple(self.images[at] for at in kept),
            image=number[self.image[mine]],
            annotator=self.annotator[mine],
            position=self.position[mine],
            response=self.response[mine],
            looked=looked,
        )


def points_from_rows(
    rows: Sequence[tuple[str, str, float, float, str]],
    looked: Iterable[tuple[str, str]] = (),
    *,
    anonymous: bool = False,
) -> AnnotatorPoints:
    """Return points given one by one.

    Parameters
    ----------
    rows
        Image, annotator, row, column and class (empty: none) of each point.
    looked
        Image and annotator of those who looked and may have marked nothing.

    Raises
    ------
    AnnotationError
        There are no points, too many, or one that is nowhere on an image.
    """
    if len(rows) > MAX_POINTS:
        raise AnnotationError(f"There are more than {MAX_POINTS:,} points: split the file.")
    if not rows:
        raise AnnotationError("There are no points: choose a file or layers with points.")
    position = np.array([(row, column) for _, _, row, column, _ in rows], float).reshape(-1, 2)
    if not np.isfinite(position).all() or np.abs(position).max(initial=0) > MAX_PLACE:
        wrong = int((~(np.abs(position) <= MAX_PLACE)).any(axis=1).argmax())
        raise AnnotationError(
            f"Point {wrong + 1}, at row {position[wrong, 0]}, column {position[wrong, 1]}, is on "
            "no image: rows and columns are pixels."
        )
    pairs = {(image, annotator) for image, annotator, *_ in rows} | set(looked)
    images = sorted({image for image, _ in pairs}, key=natural_order)
    annotators = sorted({annotator for _, annotator in pairs}, key=natural_order)
    said = [standard_class(name) for *_, name in rows]
    classes = ordered_classes(set(said) - {""})
    image_at, annotator_at, class_at = (
        {name: at for at, name in enumerate(names)} for names in (images, annotators, classes)
    )
    return AnnotatorPoints(
        tuple(images),
        tuple(annotators),
        classes,
        np.array([image_at[row[0]] for row in rows], np.int64),
        np.array([annotator_at[row[1]] for row in rows], np.int64),
        position,
        np.array([class_at.get(name, -1) for name in said], np.int64),
        np.array(sorted((image_at[i], annotator_at[a]) for i, a in pairs), np.int64),
        anonymous,
    )


def ordered_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Return classes by name, alive before dead, and "not sure" last."""
    first = {ALIVE: 0, DEAD: 1, NOT_SURE: 3}
    return tuple(sorted(names, key=lambda name: (first.get(name, 2), natural_order(name))))


def natural_order(name: str) -> list[Any]:
    """Return what sorts "frame 2" before "frame 10"."""
    parts = re.split(r"(\d{1,9})", name.casefold())
    return [(0, int(part), "") if at % 2 else (1, 0, part) for at, part in enumerate(parts)]


def joined_points(parts: Sequence[AnnotatorPoints]) -> AnnotatorPoints:
    """Return the points of several sources as one.

    An annotator of one name is one person, unless the names say nothing.

    Raises
    ------
    AnnotationError
        There are no points, or too many.
    """
    if len(parts) == 1:
        return parts[0]
    rows: list[tuple[str, str, float, float, str]] = []
    looked: list[tuple[str, str]] = []
    for part in parts:
        names = (*part.classes, "")
        rows += [
            (part.images[image], part.annotators[annotator], row, column, names[response])
            for image, annotator, (row, column), response in zip(
                part.image.tolist(), part.annotator.tolist(), part.position.tolist(),
                part.response.tolist(), strict=True,
            )
        ]  # fmt: skip
        looked += [(part.images[image], part.annotators[a]) for image, a in part.looked.tolist()]
    return points_from_rows(rows, looked, anonymous=any(part.anonymous for part in parts))
