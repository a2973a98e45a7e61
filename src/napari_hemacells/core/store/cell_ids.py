"""The ids of the cells in a file, read without their pixels and once for each version of it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from napari_hemacells.core.store.cells_file import damaged, read_ids
from napari_hemacells.core.store.masks_file import read_mask_ids

if TYPE_CHECKING:
    from pathlib import Path


def ids_in(file: Path) -> frozenset[int]:
    """Return the ids of the cells in a file of either kind, a label image or masks.

    Raises
    ------
    ProjectError
        For a file that is missing or damaged.
    """
    try:
        about = file.stat()
    except OSError as error:
        raise damaged(file) from error
    return _read(file, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=256)
def _read(file: Path, _changed: int, _size: int) -> frozenset[int]:
    read = read_mask_ids if file.suffix == ".npz" else read_ids
    return frozenset(read(file).tolist())
