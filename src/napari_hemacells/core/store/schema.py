"""What ``project.json`` holds, and reading and writing it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, ValidationError

from napari_hemacells import __version__
from napari_hemacells.core.annotate.state import utc_now
from napari_hemacells.core.encoder_names import DEFAULT
from napari_hemacells.core.errors import ProjectError
from napari_hemacells.core.fsio import read_bytes, write_bytes
from napari_hemacells.core.params import ClassifyParams, DetectParams
from napari_hemacells.core.types import CropSpec, EncoderInfo, Groups, Modality

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "project.json"
FORMAT = "napari-hemacells project"
SCHEMA_VERSION = 1
_LIMIT = 64 * 2**20


def _spec_to_dict(spec: CropSpec) -> dict[str, Any]:
    return spec.to_dict()


StoredSpec: TypeAlias = Annotated[CropSpec, PlainSerializer(_spec_to_dict)]
"""How crops are cut, written without what is as usual."""


class StoredImage(BaseModel):
    """An image of a project: referenced by path and content, never copied.

    Attributes
    ----------
    key
        The image's identity (:class:`~napari_hemacells.core.types.SmearImage`).
    path
        Absolute path of the file, ``None`` for a layer without one.
    relative
        The same from the project folder, so that both can be moved together.
    file_sha256
        Hash of the file's bytes when it was added; of a large file's size and sampled bytes
        (:mod:`~napari_hemacells.core.store.image_paths`); ``None`` for a folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    name: str
    path: str | None = None
    relative: str | None = None
    file_sha256: str | None = None
    shape: tuple[int, int]
    modality: Modality = "colour"
    pixel_size_um: float | None = None
    groups: Groups = Groups()


class ProjectFile(BaseModel):
    """Everything of a project but its annotations, cells and embeddings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["napari-hemacells project"] = "napari-hemacells project"
    schema_version: int = SCHEMA_VERSION
    name: str
    created: str = Field(default_factory=utc_now)
    app_version: str = __version__
    images: tuple[StoredImage, ...] = ()
    encoder: EncoderInfo | None = None
    crop: StoredSpec = CropSpec()
    detect: DetectParams = DetectParams()
    # As a name, unchecked: one that is not known here is told when cells are embedded.
    encoder_name: str = DEFAULT
    classify: ClassifyParams = ClassifyParams()
    classifier: str | None = None  # the fine-tuned model in use, from the project folder


def write_project_file(folder: Path, content: ProjectFile) -> None:
    """Write ``project.json``, whole or not at all; raises :class:`StorageError`."""
    write_bytes(folder / FILE_NAME, content.model_dump_json(indent=2).encode() + b"\n")


def read_project_file(folder: Path) -> ProjectFile:
    """The content of a folder's ``project.json``.

    Raises
    ------
    ProjectError
        Where there is none, for a damaged one, and for one of a newer version.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise ProjectError(
            f"“{folder}” holds no HemaCells project: choose a folder with a {FILE_NAME}."
        )
    data = read_bytes(path, _LIMIT)
    _check_version(path, data)
    try:
        return ProjectFile.model_validate_json(data)
    except ValidationError as error:
        raise _damaged_project_error(path) from error


def _check_version(path: Path, data: bytes) -> None:
    try:
        values = json.loads(data)
        kind, version = values["format"], int(values["schema_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged_project_error(path) from error
    if kind != FORMAT:
        raise ProjectError(f"“{path}” does not belong to a HemaCells project.")
    if version > SCHEMA_VERSION:
        raise ProjectError(
            f"“{path.parent}” was saved by a newer version of HemaCells (project format "
            f"{version}, this version reads {SCHEMA_VERSION}): update napari-hemacells."
        )


def _damaged_project_error(path: Path) -> ProjectError:
    return ProjectError(
        f"“{path}” is damaged. Nothing was changed: restore it from a copy. The annotations are "
        "in journal.jsonl beside it."
    )
