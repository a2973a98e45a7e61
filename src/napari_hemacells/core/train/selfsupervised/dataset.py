"""What a self-supervised training learns from and is judged on; its folder on the disk."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.files.fsio import atomic_path
from napari_hemacells.core.files.numpy_files import load_arrays
from napari_hemacells.core.files.safe_files import open_stream
from napari_hemacells.core.train.callbacks import CHECKPOINT

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CROPS = "crops.npz"
MAX_CROPS = 4000  # crops: more cost memory and change little
MIN_CROPS = 32  # crops: with fewer there is nothing to tell one from


@dataclass(frozen=True, eq=False)
class LabelledCrops:
    """Crops of annotated cells, which judge and do not teach.

    Attributes
    ----------
    crops
        ``(m, size, size, 3)`` uint8.
    labels
        ``(m,)`` their classes.
    """

    crops: NDArray[np.uint8]
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class AdaptTrainingSet:
    """Crops without labels, and the clicks.

    Attributes
    ----------
    crops
        ``(n, size, size, 3)`` uint8.
    images
        Keys of the images that they come from; of single pictures the hashes of their files.
    left_out
        Sentences about what could not be read.
    notes
        Sentences about how the images were read.
    """

    crops: NDArray[np.uint8]
    clicks: LabelledCrops
    images: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def digest(self) -> str:
        """Return a hash of the crops."""
        return hashlib.sha256(np.ascontiguousarray(self.crops).tobytes()).hexdigest()


def training_folder(out: Path) -> Path:
    """Return where the training of this file keeps what it needs: beside it."""
    return out.with_name(f"{out.stem}.adapting")


def write_training_set(folder: Path, material: AdaptTrainingSet) -> None:
    """Write what is learned from, in place of an earlier training's, which ends here.

    Raises
    ------
    TrainingError
        There are too few crops.
    StorageError
        The folder cannot be written.
    """
    if len(material.crops) < MIN_CROPS:
        few = (
            f"{len(material.crops)} cells are too few to learn from without labels: at least "
            f"{MIN_CROPS}, better a thousand."
        )
        raise TrainingError(" ".join((few, *material.left_out[:3])))
    remove_folder(folder)
    about = json.dumps({"images": material.images, "left_out": material.left_out})
    with atomic_path(folder / CROPS) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            crops=material.crops,
            clicked=material.clicks.crops,
            labels=np.array(material.clicks.labels, dtype=np.str_),
            about=np.array(about),
        )


def read_training_set(folder: Path) -> AdaptTrainingSet:
    """Return what is learned from.

    Raises
    ------
    TrainingError
        There is none, or it is damaged.
    """
    try:
        with open_stream(folder / CROPS) as stream:
            stored = load_arrays(stream)
        about = _CropsDescription.model_validate_json(str(stored["about"]))
        crops, clicked, labels = (stored[name] for name in ("crops", "clicked", "labels"))
        _check_crops(crops, clicked, labels)
        clicks = LabelledCrops(clicked, tuple(labels.tolist()))
        return AdaptTrainingSet(crops, clicks, about.images, about.left_out)
    except Exception as error:
        raise TrainingError(
            f"There is no interrupted training in {folder}: start it without --resume."
        ) from error


class _CropsDescription(BaseModel):
    """What is stored beside the crops."""

    images: tuple[str, ...]
    left_out: tuple[str, ...]


def _check_crops(crops: NDArray[Any], clicked: NDArray[Any], labels: NDArray[Any]) -> None:
    pictures = all(part.ndim == 4 and part.dtype == np.uint8 for part in (crops, clicked))
    if not pictures or labels.ndim != 1 or labels.dtype.kind != "U" or len(labels) != len(clicked):
        raise ValueError("crops and labels do not fit one another")


def remove_folder(folder: Path) -> None:
    """Remove what a training kept; one that is not there is fine."""
    for name in (CROPS, CHECKPOINT):
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        shutil.rmtree(folder)
