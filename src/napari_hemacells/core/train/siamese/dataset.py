"""The annotated cells that a siamese network learns from, and its folder on the disk."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.files.fsio import atomic_path
from napari_hemacells.core.files.numpy_files import load_arrays
from napari_hemacells.core.files.safe_files import open_stream
from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.store.project import annotation_state
from napari_hemacells.core.train.selfsupervised.project_dataset import (
    load_folder_crops_steps,
    load_project_crops_steps,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.annotate.state import AnnotationState
    from napari_hemacells.core.image.plane_selection import PlaneSelection
    from napari_hemacells.core.store.project import Project
    from napari_hemacells.core.train.selfsupervised.dataset import AdaptTrainingSet
    from napari_hemacells.core.types import Progress, SmearImage

CELLS = "cells.npz"
MOST_CELLS = 10_000  # of a folder
HELD_OUT_SHARE = 0.2
MIN_TO_HOLD_OUT = 5  # cells of a kind, of which one is then held out


@dataclass(frozen=True, eq=False)
class SiameseTrainingSet:
    """Crops of annotated cells.

    Attributes
    ----------
    crops
        ``(n, size, size, 3)`` uint8.
    labels
        ``(n,)`` their kinds.
    notes
        Sentences about what could not be read, and how the rest was.
    """

    crops: NDArray[np.uint8]
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def kinds(self) -> dict[str, int]:
        """Number of cells of each kind."""
        names, counts = np.unique(np.array(self.labels, dtype=np.str_), return_counts=True)
        return dict(zip(names.tolist(), counts.tolist(), strict=True))

    def digest(self) -> str:
        """Return a hash of the crops and their kinds."""
        hashed = hashlib.sha256(np.ascontiguousarray(self.crops).tobytes())
        hashed.update("\n".join(self.labels).encode())
        return hashed.hexdigest()

    def subset(self, rows: NDArray[np.intp]) -> SiameseTrainingSet:
        """Return some of the cells."""
        return SiameseTrainingSet(
            self.crops[rows], tuple(self.labels[row] for row in rows), self.notes
        )


def load_folder_cells_steps(
    folder: Path, selection: PlaneSelection = WHOLE_PICTURE
) -> Generator[Progress, None, SiameseTrainingSet]:
    """Return the pictures of class folders, framed as ``evaluate fewshot`` frames them.

    Raises
    ------
    TrainingError, ImageError
        There are no class folders, or no picture can be read.
    """
    read = yield from load_folder_crops_steps(
        folder, most=MOST_CELLS, per_class=MOST_CELLS, selection=selection
    )
    return _labelled(read)


def load_project_cells_steps(
    project: Project,
    state: AnnotationState | None = None,
    *,
    opened: Mapping[str, SmearImage] | None = None,
) -> Generator[Progress, None, SiameseTrainingSet]:
    """Return the annotated cells of a project, by the names of their classes.

    Parameters
    ----------
    state
        The annotations; those that are saved if ``None``.
    opened
        Images that are in memory, by key; the others are read from their files.

    Raises
    ------
    TrainingError
        No image with cells can be read.
    """
    state = annotation_state(project) if state is None else state
    read = yield from load_project_crops_steps(project, state, opened=opened, most=1)
    cells = _labelled(read)
    names = {known.id: known.name for known in state.palette.classes}
    return replace(cells, labels=tuple(names.get(label, label) for label in cells.labels))


def _labelled(read: AdaptTrainingSet) -> SiameseTrainingSet:
    return SiameseTrainingSet(
        read.clicks.crops, tuple(read.clicks.labels), (*read.left_out, *read.notes)
    )


def check_enough(cells: SiameseTrainingSet, *, least: int = 2) -> None:
    """Refuse too few annotations.

    Raises
    ------
    TrainingError
        There are fewer than two kinds with so many cells.
    """
    several = [name for name, count in cells.kinds.items() if count >= least]
    if len(several) < 2:
        raise TrainingError(
            f"At least two kinds with {least} annotated cells each are needed to learn which "
            f"cells are alike; there are {len(several)}. Annotate more cells."
        )


def held_out_rows(labels: tuple[str, ...], seed: int) -> NDArray[np.bool_]:
    """``(n,)`` the cells that choose the threshold: every fifth of a kind, drawn with the seed.

    Of kinds with fewer than ten cells two (to make a pair), and none of those with fewer than
    five. None at all where that leaves fewer than two kinds.
    """
    random, names = np.random.default_rng(seed), np.array(labels, dtype=np.str_)
    out, kinds = np.zeros(len(names), dtype=np.bool_), 0
    for name in np.unique(names):
        own = random.permutation(np.flatnonzero(names == name))
        if len(own) >= MIN_TO_HOLD_OUT:
            out[own[: max(2, round(HELD_OUT_SHARE * len(own)))]] = True
            kinds += 1
    return out if kinds >= 2 else np.zeros(len(names), dtype=np.bool_)


def write_cells(folder: Path, cells: SiameseTrainingSet) -> None:
    """Write what is learned from, in place of an earlier training's, which ends here.

    Raises
    ------
    StorageError
        The folder cannot be written.
    """
    remove_training(folder)
    with atomic_path(folder / CELLS) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            crops=cells.crops,
            labels=np.array(cells.labels, dtype=np.str_),
            notes=np.array(cells.notes, dtype=np.str_),
        )


def read_cells(folder: Path) -> SiameseTrainingSet:
    """Return what is learned from.

    Raises
    ------
    TrainingError
        There is nothing, or it is damaged.
    """
    try:
        with open_stream(folder / CELLS) as stream:
            stored = load_arrays(stream)
        crops, labels = stored["crops"], stored["labels"]
        _check_cells(crops, labels)
        notes = tuple(str(note) for note in stored["notes"].tolist())
        return SiameseTrainingSet(crops, tuple(str(label) for label in labels.tolist()), notes)
    except Exception as error:
        raise TrainingError(
            f"There is no interrupted training in {folder}: start it without --resume."
        ) from error


def _check_cells(crops: NDArray[Any], labels: NDArray[Any]) -> None:
    if crops.ndim != 4 or crops.dtype != np.uint8 or labels.shape != crops.shape[:1]:
        raise ValueError("crops and labels do not fit one another")


def remove_training(folder: Path) -> None:
    """Remove what a training kept; one that is not there is fine."""
    if (folder / CELLS).is_file():
        shutil.rmtree(folder)
