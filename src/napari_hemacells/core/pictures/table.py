"""The numbers of a collection's pictures on disk: a JSON file with a checksum of its own."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.errors import ProjectError
from napari_hemacells.core.files.fsio import read_bytes, write_bytes
from napari_hemacells.core.types import BitDepth, Modality

if TYPE_CHECKING:
    from pathlib import Path

FORMAT, VERSION = "napari-hemacells pictures", 1
MAX_PICTURES = 1_000_000
_LIMIT = 512 * 2**20


@dataclass(frozen=True, slots=True)
class PictureEntry:
    """A picture of a collection.

    Attributes
    ----------
    number
        What its cell is called: 1 or more, never given to another picture.
    name
        Path from the folder, with ``/``.
    label
        Class by its folder or a table; empty where unknown.
    group
        Patient or slide; empty where unknown.
    part
        Part of a data set, such as ``train``; empty where not decided.
    size, mtime_ns
        Of the file when `digest` was taken.
    digest
        SHA-256 of the file's bytes as hexadecimal digits; empty before it was read.
    """

    number: int
    name: str
    label: str = ""
    group: str = ""
    part: str = ""
    size: int = 0
    mtime_ns: int = 0
    digest: str = ""


@dataclass(frozen=True)
class PictureTable:
    """What is kept of a collection.

    Attributes
    ----------
    key
        Identity of the collection: 16 hexadecimal digits.
    folder
        Where the pictures were.
    modality, context, depths
        As of :class:`~napari_hemacells.core.pictures.CellPictures`; ``None`` before any picture
        was read.
    whole_folder
        Whether what is added to the folder belongs to it; else its files were given one by one.
    """

    key: str
    folder: str
    entries: tuple[PictureEntry, ...]
    modality: Modality | None = None
    context: float | None = None
    depths: tuple[BitDepth, ...] | None = None
    whole_folder: bool = True


def write_picture_table(path: Path, table: PictureTable) -> None:
    """Write the table, whole or not at all.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "key": table.key,
        "folder": table.folder,
        "modality": table.modality,
        "context": table.context,
        "depths": None if table.depths is None else [asdict(depth) for depth in table.depths],
        "whole_folder": table.whole_folder,
        "columns": list(PictureEntry.__slots__),
        "pictures": [
            [getattr(entry, name) for name in PictureEntry.__slots__] for entry in table.entries
        ],
    }
    content["sha256"] = _checksum(content)
    # ASCII: names of files that are no Unicode survive as escapes.
    write_bytes(path, json.dumps(content, separators=(",", ":")).encode("ascii") + b"\n")


def read_picture_table(path: Path) -> PictureTable:
    """Return what :func:`write_picture_table` wrote.

    Raises
    ------
    ProjectError
        It is damaged, or of a newer version.
    StorageError
        It cannot be read.
    """
    data = read_bytes(path, _LIMIT)
    try:
        content = json.loads(data)
        if content["format"] == FORMAT and int(content["version"]) > VERSION:
            raise ProjectError(
                f"“{path}” was saved by a newer version of HemaCells: update napari-hemacells."
            )
        return _table(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProjectError(
            f"“{path}” is damaged ({error}). Restore it from a copy: it says which picture has "
            "which number in the annotations."
        ) from error


def _table(content: dict[str, Any]) -> PictureTable:
    checksum = content.pop("sha256")
    if content["format"] != FORMAT or checksum != _checksum(content):
        raise ValueError("its checksum is another one")
    rows, depths = content["pictures"], content["depths"]
    if len(rows) > MAX_PICTURES or content["columns"] != list(PictureEntry.__slots__):
        raise ValueError("its columns are others")
    entries = tuple(PictureEntry(*row) for row in rows)
    numbers = [entry.number for entry in entries]
    if numbers != sorted(set(numbers)) or (numbers and numbers[0] < 1):
        raise ValueError("its numbers are in disorder")
    return PictureTable(
        content["key"],
        content["folder"],
        entries,
        content["modality"],
        content["context"],
        None if depths is None else tuple(BitDepth(**depth) for depth in depths),
        content["whole_folder"],
    )


def _checksum(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
