"""The trainings that a project keeps: finished ones to choose from, an interrupted one to end.

Which cells of a project a training learned from and checked with, read from its folder.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, Field

from napari_hemacells.core.errors import StorageError, TrainingError
from napari_hemacells.core.files.fsio import read_bytes, reserve_folder, write_bytes
from napari_hemacells.core.files.text_tables import read_table
from napari_hemacells.core.store import load_bundle, save_bundle
from napari_hemacells.core.train.callbacks import CHECKPOINT
from napari_hemacells.core.train.classifier.config import ClassifierConfig
from napari_hemacells.core.train.classifier.project_dataset import parse_cell_name
from napari_hemacells.core.train.classifier.results import MAX_JSON_BYTES, read_run
from napari_hemacells.core.train.classifier.training import (
    SPLIT,
    TrainJob,
    repeat_command,
)
from napari_hemacells.core.types import (
    CellRef,
    CropSpec,
    TemperatureScaling,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_hemacells.core.annotate import Palette
    from napari_hemacells.core.store import Bundle
    from napari_hemacells.core.store.project import Project

MODELS, CROPS, JOB = "models", "crops", "job.json"
MODEL = "model"  # as finish.py has it, which would load torch
_NAME, _WHEN = "classifier", "%Y%m%d-%H%M%S"


@dataclass(frozen=True)
class StoredModel:
    """A finished training of a project.

    Attributes
    ----------
    accuracy
        On held-out cells; NaN where unknown.
    """

    folder: Path
    recipe: str
    when: datetime
    cells: int
    accuracy: float

    @property
    def model(self) -> Path:
        """Folder of the bundle."""
        return self.folder / MODEL

    def words(self) -> str:
        """What to call it in a list: recipe, day and time, accuracy."""
        when = self.when.strftime("%d %b %H:%M").lstrip("0")
        return f"Fine-tuned {when} ({self.recipe}, {self.accuracy:.1%})"


def new_training_folder(project: Project) -> Path:
    """Make the folder of a training that begins now: its own, whatever else begins now.

    Raises
    ------
    StorageError
        It cannot be made.
    """
    return reserve_folder(project.folder / MODELS, f"{_NAME}-{_WHEN}")


def save_job(
    folder: Path,
    recipe: ClassifierConfig,
    name: str,
    spec: CropSpec | None,
    source: Path | None = None,
) -> None:
    """Note what is to be trained, so that an interrupted training can be gone on with.

    Cells that an earlier training of the project learned from stay on that side.

    Parameters
    ----------
    spec
        How the crops of annotated cells are cut; ``None`` for pictures of class folders.
    source
        The class folders, where they teach instead of annotated cells.
    """
    record = {
        "recipe": recipe.model_dump(mode="json"),
        "name": name,
        "spec": None if spec is None else spec.to_dict(),
        "source": "" if source is None else str(source),
    }
    write_bytes(folder / JOB, json.dumps(record, indent=1).encode())
    if source is not None:
        return
    before = [other / SPLIT for other in _folders(folder.parent) if other != folder]
    known = next((file for file in before if file.is_file() and _of_cells(file.parent)), None)
    if known is not None:
        write_bytes(folder / SPLIT, known.read_bytes())


def _of_cells(folder: Path) -> bool:
    """Whether a training learned from annotated cells, not from class folders."""
    try:
        return not _Job.model_validate_json(read_bytes(folder / JOB, MAX_JSON_BYTES)).source
    except (StorageError, ValueError):
        return True  # an earlier version's


def load_job(folder: Path, palette: Palette) -> TrainJob:
    """Return the job that was noted in a folder.

    Raises
    ------
    TrainingError
        It cannot be read.
    """
    try:
        record = _Job.model_validate_json(read_bytes(folder / JOB, MAX_JSON_BYTES))
        job = TrainJob(
            source=Path(record.source) if record.source else folder / CROPS,
            folder=folder,
            recipe=ClassifierConfig(**record.recipe),
            name=folder.name,
            spec=None if record.spec is None else CropSpec(**record.spec.model_dump()),
            palette=palette,
        )
        return replace(job, command=repeat_command(job, record.name))
    except (StorageError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"The training in “{folder}” is damaged: start a new one.") from error


def list_models(project: Project) -> tuple[StoredModel, ...]:
    """Return the finished trainings of a project, the newest first."""
    return tuple(
        StoredModel(
            folder=folder,
            recipe=_recipe_name(folder / JOB),
            when=datetime.strptime(folder.name, f"{_NAME}-{_WHEN}").astimezone(),
            cells=_learned_cells(folder),
            accuracy=_accuracy(folder / "figures.json"),
        )
        for folder in _folders(project.folder / MODELS)
        if (folder / MODEL).is_dir() and (folder / "figures.json").is_file()
    )


def _recipe_name(file: Path) -> str:
    try:
        return _Job.model_validate_json(read_bytes(file, MAX_JSON_BYTES)).name
    except (StorageError, ValueError):
        return ""  # an earlier version's, or damaged: the model itself may be whole


def _learned_cells(folder: Path) -> int:
    try:
        return sum(read_run(folder / "run.json").get("counts", {}).values())
    except TrainingError:
        return 0


def _accuracy(file: Path) -> float:
    try:
        content = _Figures.model_validate_json(read_bytes(file, MAX_JSON_BYTES))
    except (StorageError, ValueError):
        return float("nan")
    part = content.validation.tta or content.validation
    value = part.accuracy.value
    return float("nan") if value is None else value


class _Value(BaseModel):
    value: float | None = Field(default=None, ge=0, le=1)


class _Part(BaseModel):
    accuracy: _Value = _Value()
    tta: _Part | None = None


class _Figures(BaseModel):
    """The accuracy in ``figures.json``."""

    validation: _Part = _Part()


class _Spec(BaseModel):
    size: int = Field(ge=1, le=4096)
    context: float = Field(gt=0, le=100)
    degrees: TemperatureScaling = "fixed"
    palette: str = "grey"


class _Job(BaseModel):
    """What ``job.json`` holds."""

    recipe: dict[str, Any]
    name: str
    spec: _Spec | None
    source: str = ""


def starting_model(project: Project, bundle: Bundle) -> Path:
    """Return a folder of this model, for a training to start from.

    That of the project's own training, where it is the project's classifier; else the model is
    saved beside the trainings.

    Raises
    ------
    HemaCellsError
        It cannot be saved.
    """
    own = project.classifier
    if own is not None and (own / MODEL).is_dir():
        stored = load_bundle(own / MODEL)
        if stored.encoder.sha256 == bundle.encoder.sha256:
            return own
    folder = project.folder / MODELS / f"start-{bundle.encoder.sha256[:16]}"
    if not folder.is_dir():
        save_bundle(folder, bundle)
    return folder


def interrupted_training(project: Project) -> Path | None:
    """Return the folder of the newest training where it was interrupted after an epoch."""
    newest = next(_folders(project.folder / MODELS), None)
    if newest is None or (newest / MODEL).is_dir():
        return None
    return newest if (newest / CHECKPOINT).is_file() and (newest / JOB).is_file() else None


def delete_training(folder: Path) -> None:
    """Remove a training and all that came of it."""
    shutil.rmtree(folder, ignore_errors=True)


def delete_checkpoint(folder: Path) -> None:
    """Remove what only going on would need."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _folders(models: Path) -> Iterator[Path]:
    """Yield the folders of trainings, the newest first."""
    if models.is_dir():
        yield from sorted(
            (folder for folder in models.glob(f"{_NAME}-*") if _dated(folder)), reverse=True
        )


def _dated(folder: Path) -> bool:
    try:
        datetime.strptime(folder.name, f"{_NAME}-{_WHEN}").astimezone()
    except ValueError:
        return False
    return folder.is_dir()


class TrainedCell(NamedTuple):
    """What a training knew of a cell: its class then, and the part it was in."""

    name: str
    part: str


def trained_cells(folder: Path) -> dict[CellRef, TrainedCell]:
    """Return the cells of a finished training; other pictures are left out.

    Raises
    ------
    TrainingError
        The folder's ``split.csv`` cannot be read.
    """
    cells = dict[CellRef, TrainedCell]()
    try:
        for row in read_table(folder / "split.csv").records():
            ref = parse_cell_name(row["path"].rpartition("/")[2].removesuffix(".png"))
            if ref is not None:
                cells[ref] = TrainedCell(row["label"], row["part"])
    except (OSError, KeyError, ValueError) as error:
        raise TrainingError(
            f"What the model in “{folder}” was trained on cannot be read: fine-tune again."
        ) from error
    return cells
