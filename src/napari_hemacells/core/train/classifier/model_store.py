"""The trainings that a project keeps: finished ones to choose from, an interrupted one to end.

Which cells of a project a training learned from and checked with, read from its folder.
"""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.fsio import write_bytes
from napari_hemacells.core.train.callbacks import CHECKPOINT
from napari_hemacells.core.train.classifier.config import ClassifierConfig
from napari_hemacells.core.train.classifier.project_dataset import parse_cell_name
from napari_hemacells.core.train.classifier.training import (
    SPLIT,
    TrainJob,
    repeat_command,
)
from napari_hemacells.core.types import CellRef, CropSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_hemacells.core.annotate import Palette
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
    """Return where a training that begins now goes."""
    stem = datetime.now().astimezone().strftime(f"{_NAME}-{_WHEN}")
    return project.folder / MODELS / stem


def save_job(folder: Path, recipe: ClassifierConfig, name: str, spec: CropSpec) -> None:
    """Note what is to be trained, so that an interrupted training can be gone on with.

    Cells that an earlier training of the project learned from stay on that side.
    """
    record = {"recipe": recipe.model_dump(mode="json"), "name": name, "spec": spec.to_dict()}
    write_bytes(folder / JOB, json.dumps(record, indent=1).encode())
    before = [other / SPLIT for other in _folders(folder.parent) if other != folder]
    known = next((file for file in before if file.is_file()), None)
    if known is not None:
        write_bytes(folder / SPLIT, known.read_bytes())


def load_job(folder: Path, palette: Palette) -> TrainJob:
    """Return the job that was noted in a folder.

    Raises
    ------
    TrainingError
        It cannot be read.
    """
    record = _read_json_object(folder / JOB)
    try:
        job = TrainJob(
            source=folder / CROPS,
            folder=folder,
            recipe=ClassifierConfig(**record["recipe"]),
            name=folder.name,
            spec=CropSpec(**record["spec"]),
            palette=palette,
        )
        return replace(job, command=repeat_command(job, record["name"]))
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"The training in “{folder}” is damaged: start a new one.") from error


def list_models(project: Project) -> tuple[StoredModel, ...]:
    """Return the finished trainings of a project, the newest first."""
    stored_models = []
    for folder in _folders(project.folder / MODELS):
        if (folder / MODEL).is_dir() and (folder / "figures.json").is_file():
            figures = _read_json_object(folder / "figures.json").get("validation", {})
            figures = figures.get("tta", figures)
            accuracy = figures.get("accuracy", {}).get("value")
            run = _read_json_object(folder / "run.json")
            stored_models.append(
                StoredModel(
                    folder=folder,
                    recipe=str(_read_json_object(folder / JOB).get("name", "")),
                    when=datetime.strptime(folder.name, f"{_NAME}-{_WHEN}").astimezone(),
                    cells=sum(run.get("counts", {}).values()),
                    accuracy=float("nan") if accuracy is None else float(accuracy),
                )
            )
    return tuple(stored_models)


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


def _read_json_object(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


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
        with (folder / "split.csv").open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                ref = parse_cell_name(row["path"].rpartition("/")[2].removesuffix(".png"))
                if ref is not None:
                    cells[ref] = TrainedCell(row["label"], row["part"])
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(
            f"What the model in “{folder}” was trained on cannot be read: fine-tune again."
        ) from error
    return cells
