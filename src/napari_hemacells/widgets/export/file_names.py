"""Names of exported files: images of equal names in one folder are kept apart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.files.fsio import file_name, read_bytes, write_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.core.types import SmearImage

INDEX_NAME = "exported-images.json"  # which image the files of each name belong to
_LIMIT = 2**24  # bytes
ENDINGS = (".cells.csv", ".report.html", ".overlay.png", ".labels.tif", ".crops", ".coco.json",
           ".model")  # fmt: skip


def reserve_stem(folder: Path, image: SmearImage) -> str:
    """Return the beginning of the names of an image's files in a folder, the same each time.

    Where the files of another image have that name already, the name of the image's own folder is
    put before it, and if that is taken too, a number behind it. The choice is written into the
    folder.

    Raises
    ------
    StorageError
        The folder cannot be written to.
    """
    owners = _read_index(folder)
    for stem, key in owners.items():
        if key == image.key and _is_name_of(stem, image):
            return stem
    plain = file_name(image.name)
    taken = {stem.casefold() for stem in owners}
    stem = plain
    if plain.casefold() in taken or _has_files(folder, plain):
        parent = "" if image.path is None else file_name(image.path.parent.name, "")
        base = f"{parent}_{plain}" if parent else plain
        stem, number = base, 1
        while stem.casefold() in taken or _has_files(folder, stem):
            number += 1
            stem = f"{base}_{number}"
    content = json.dumps(owners | {stem: image.key}, indent=1, ensure_ascii=False)
    write_bytes(folder / INDEX_NAME, content.encode() + b"\n")
    return stem


def _is_name_of(stem: str, image: SmearImage) -> bool:
    return file_name(image.name) in stem  # a renamed image gets files of its new name


def _has_files(folder: Path, stem: str) -> bool:
    """Whether files of this name are there that the index does not know."""
    return any((folder / f"{stem}{ending}").exists() for ending in ENDINGS)


def _read_index(folder: Path) -> dict[str, str]:
    """Name and image key of what was exported here; empty where that is not known."""
    path = folder / INDEX_NAME
    if not path.is_file():
        return {}
    try:
        content = json.loads(read_bytes(path, _LIMIT))
    except (StorageError, ValueError, RecursionError):
        return {}  # files that are there already are not overwritten then either
    if not isinstance(content, dict):
        return {}
    return {str(stem): str(key) for stem, key in content.items()}
