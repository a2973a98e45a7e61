"""Learned likenesses in a project's folder, and the one that is in use.

::

    siamese/<day and time>/likeness.safetensors    the distance
    siamese/<day and time>/siamese.safetensors     the network, where one was trained
    siamese/<day and time>/report.html
    siamese/<day and time>/training/               what it learns from, while it learns
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from napari_hemacells.core.classify.verification import Likeness
from napari_hemacells.core.encode.siamese_head import HeadWeights, read_head_weights
from napari_hemacells.core.encode.siamese_header import read_siamese_header
from napari_hemacells.core.errors import BundleError, StorageError
from napari_hemacells.core.files.fsio import discard, reserve_folder
from napari_hemacells.core.train.siamese.config import LIKENESS, REPORT, WEIGHTS, SiameseJob

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_hemacells.core.params import SiameseParams
    from napari_hemacells.core.store.project import Project
    from napari_hemacells.core.types import EncoderInfo

SIAMESE = "siamese"
_TIMESTAMP_FORMAT = "%Y%m%d-%H%M%S-%f"


@dataclass(frozen=True)
class SavedLikeness:
    """A learned likeness in a folder.

    Attributes
    ----------
    weights
        File of the network whose vectors it compares; ``None`` where it is an encoder's distance.
    """

    folder: Path
    likeness: Likeness
    weights: Path | None


def read_likeness(folder: Path) -> SavedLikeness:
    """Return what ``hemacells train siamese`` wrote into a folder.

    Raises
    ------
    BundleError
        There is no likeness in it, or a damaged one.
    """
    if not (folder / LIKENESS).is_file():
        raise BundleError(
            f"“{folder}” holds no {LIKENESS}: choose a folder that hemacells train siamese wrote."
        )
    weights = folder / WEIGHTS
    return SavedLikeness(
        folder, Likeness.load(folder / LIKENESS), weights if weights.is_file() else None
    )


@dataclass(frozen=True, eq=False)
class HeadLikeness(Likeness):
    """The distance of a siamese head, on the vectors of the encoder below it."""

    head: HeadWeights | None = None

    def transform(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """``(n, k)`` float32 unit vectors of ``(n, dim)`` embeddings of the encoder below."""
        return super().transform(vectors if self.head is None else self.head.apply(vectors))


def likeness_for(saved: SavedLikeness, encoder: EncoderInfo) -> Likeness | None:
    """Return a saved likeness for an encoder's vectors; ``None`` where it is of another one.

    Raises
    ------
    EncoderError
        The file of its network is damaged.
    """
    if saved.likeness.encoder_sha256 == encoder.sha256:
        return saved.likeness
    if saved.weights is None or read_siamese_header(saved.weights).base_sha256 != encoder.sha256:
        return None
    head = read_head_weights(saved.weights)
    if head is None or len(head.centre) != encoder.dim:
        return None
    known = {part.name: getattr(saved.likeness, part.name) for part in fields(Likeness)}
    return HeadLikeness(**known, head=head)


def new_job(project: Project, base: str, params: SiameseParams) -> SiameseJob:
    """Return a training that begins now, in a new folder of the project.

    Raises
    ------
    StorageError
        The folder cannot be made.
    """
    out = reserve_folder(project.folder / SIAMESE, _TIMESTAMP_FORMAT)
    return SiameseJob(out, params, base)


def keep_likeness(project: Project, folder: Path) -> Path:
    """Return the folder within the project; one from elsewhere is copied into it.

    Raises
    ------
    BundleError
        There is no likeness in it.
    StorageError
        It cannot be copied.
    """
    saved = read_likeness(folder)
    if folder.absolute().parent == (project.folder / SIAMESE).absolute():
        return folder
    own = reserve_folder(project.folder / SIAMESE, _TIMESTAMP_FORMAT)
    report = folder / REPORT
    files = [folder / LIKENESS, saved.weights, report if report.is_file() else None]
    try:
        for file in files:
            if file is not None:
                shutil.copyfile(file, own / file.name)
    except OSError as error:
        discard(own)
        raise StorageError(
            f"“{folder}” cannot be copied into the project ({error.strerror})."
        ) from error
    return own


def list_networks(project: Project) -> tuple[Path, ...]:
    """Return the files of the siamese networks that a project holds, the newest first."""
    folders = sorted((project.folder / SIAMESE).glob("*"), reverse=True)
    return tuple(folder / WEIGHTS for folder in folders if (folder / WEIGHTS).is_file())


def remove_unfinished(project: Project) -> None:
    """Remove what was left of trainings that did not come to their end."""
    for folder in (project.folder / SIAMESE).glob("*"):
        if folder.is_dir() and not (folder / LIKENESS).is_file():
            discard(folder)
