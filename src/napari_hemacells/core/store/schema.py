"""The content of ``project.json``: its schema, reading and writing it.

The last value is the SHA-256 of the file, computed with 64 zeros in its place. Files of version 1
have no such value.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, ValidationError

from napari_hemacells import __version__
from napari_hemacells.core.annotate.state import utc_now
from napari_hemacells.core.encoder_names import DEFAULT
from napari_hemacells.core.errors import ProjectError
from napari_hemacells.core.files.fsio import read_bytes, write_bytes
from napari_hemacells.core.files.safe_files import is_regular
from napari_hemacells.core.params import ClassifyParams, DetectParams
from napari_hemacells.core.types import CropSpec, EncoderInfo, Groups, Modality

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "project.json"
FORMAT = "napari-hemacells project"
SCHEMA_VERSION = 3
_WITHOUT_PICTURES = 2  # written where there are none, so that the version before reads it
JOURNAL_NAME = "journal.jsonl"
_BLANK = "0" * 64
_LIMIT = 64 * 2**20


def _spec_to_dict(spec: CropSpec) -> dict[str, Any]:
    return spec.to_dict()


StoredSpec: TypeAlias = Annotated[CropSpec, PlainSerializer(_spec_to_dict)]
"""The crop parameters; default values are not written."""


MAX_DIM = 65_536


def _checked_encoder(info: EncoderInfo) -> EncoderInfo:
    if not 1 <= info.dim <= MAX_DIM:
        raise ValueError(f"{info.dim} numbers per cell")
    return info


StoredEncoder: TypeAlias = Annotated[EncoderInfo, AfterValidator(_checked_encoder)]
"""An encoder whose vectors have a plausible length."""


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
    kind
        ``pictures`` for a folder of pictures of one cell each; its numbers are in
        ``pictures/<key>.json``.
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
    kind: Literal["image", "pictures"] = "image"


class DamagedProjectError(ProjectError):
    """A ``project.json`` that is not as it was written; the journal beside it may be whole."""


class ProjectFile(BaseModel):
    """Everything of a project but its annotations, cells and embeddings.

    Attributes
    ----------
    journal
        Whether there was a journal of annotations when this was written.
    checksum
        Only in the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["napari-hemacells project"] = "napari-hemacells project"
    schema_version: int = SCHEMA_VERSION
    name: str
    created: str = Field(default_factory=utc_now)
    app_version: str = __version__
    images: tuple[StoredImage, ...] = ()
    encoder: StoredEncoder | None = None
    crop: StoredSpec = CropSpec()
    detect: DetectParams = DetectParams()
    # As a name, unchecked: one that is not known here is told when cells are embedded.
    encoder_name: str = DEFAULT
    classify: ClassifyParams = ClassifyParams()
    classifier: str | None = None  # the fine-tuned model in use, from the project folder
    likeness: str | None = None  # the learned likeness in use, from the project folder
    journal: bool = False
    checksum: str | None = None  # the last one, as it is looked for from the end


def write_project_file(folder: Path, content: ProjectFile) -> None:
    """Write ``project.json``, whole or not at all; raises :class:`StorageError`."""
    pictures = any(image.kind == "pictures" for image in content.images)
    version = SCHEMA_VERSION if pictures else _WITHOUT_PICTURES
    now = {"schema_version": version, "checksum": _BLANK}
    left_out: dict[str, Any] = {} if pictures else {"images": {"__all__": {"kind"}}}
    if content.likeness is None:
        left_out["likeness"] = True  # so that versions before it read the file
    stored = content.model_copy(update=now).model_dump_json(indent=2, exclude=left_out)
    data = stored.encode() + b"\n"
    digest = hashlib.sha256(data).hexdigest()
    write_bytes(folder / FILE_NAME, _exchange_last(data, _BLANK, digest))


def read_project_file(folder: Path) -> ProjectFile:
    """Return the content of a folder's ``project.json``.

    Raises
    ------
    ProjectError
        Where there is none, for a damaged one, and for one of a newer version.
    StorageError
        For a link in its place, and for one that may not be read.
    """
    path = folder / FILE_NAME
    if not is_regular(path):
        raise ProjectError(
            f"“{folder}” holds no HemaCells project: choose a folder with a {FILE_NAME}."
        )
    data = read_bytes(path, _LIMIT)
    version = _check_version(path, data)
    try:
        content = ProjectFile.model_validate_json(data)
    except ValidationError as error:
        raise _damaged_project_error(path) from error
    _check_checksum(path, data, content.checksum, version)
    for model in (content.classifier, content.detect.weights, content.likeness):
        _check_inside(path, model)
    # Versions before the second did not say: whoever had added an image had a journal.
    journal = content.journal or (version < 2 and bool(content.images))
    now = {"schema_version": SCHEMA_VERSION, "checksum": None, "journal": journal}
    return content.model_copy(update=now)


def _exchange_last(data: bytes, old: str, new: str) -> bytes:
    head, separator, tail = data.rpartition(old.encode())
    return head + (new.encode() if separator else b"") + tail


def _check_version(path: Path, data: bytes) -> int:
    try:
        values = json.loads(data)
        kind, version = values["format"], int(values["schema_version"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise _damaged_project_error(path) from error
    if kind != FORMAT:
        raise ProjectError(f"“{path}” does not belong to a HemaCells project.")
    if version > SCHEMA_VERSION:
        raise ProjectError(
            f"“{path.parent}” was saved by a newer version of HemaCells (project format "
            f"{version}, this version reads {SCHEMA_VERSION}): update napari-hemacells."
        )
    return version


def _check_checksum(path: Path, data: bytes, checksum: str | None, version: int) -> None:
    if checksum is None and version < 2:
        return
    if not checksum or (
        hashlib.sha256(_exchange_last(data, checksum, _BLANK)).hexdigest() != checksum
    ):
        raise _damaged_project_error(path, " (its checksum does not match)")


def _check_inside(path: Path, model: str | Path | None) -> None:
    """Refuse a model that is not the project's own."""
    if model is None:
        return
    inside = PureWindowsPath(model)  # knows the separators of Windows and of POSIX
    if inside.anchor or ".." in inside.parts:
        raise ProjectError(
            f"“{path}” names a model outside the project, “{model}”, which was not opened: ask "
            "the sender for a project with its own model."
        )


def _damaged_project_error(path: Path, why: str = "") -> DamagedProjectError:
    return DamagedProjectError(
        f"“{path}” is damaged{why}. Nothing was changed: restore it from a copy. Without a copy, "
        f"move it to another folder and open the project again: the annotations are in "
        f"{JOURNAL_NAME} beside it, and come back when you open the images."
    )
