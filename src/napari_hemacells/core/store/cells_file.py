"""Cells on disk: one TIFF that holds the label image and the table, and a CSV copy to read.

The table lies in the TIFF's description, so that image and table are replaced in one step; the
CSV beside it is for people and other programs and is never read back. A private tag holds the
SHA-256 of pixels and description; files of earlier versions have none.

Cells of a large image on disk: the table and a mask a cell, without a label image.

The file is a numpy archive without pickles; a hundred thousand cells take some tens of megabytes,
where the label image of a slide would take gigabytes.

The ids of the cells in a file, read without their pixels and once for each version of it.
"""

from __future__ import annotations

import hashlib
import io
import json
from contextlib import contextmanager
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field

from napari_hemacells.core.cell_masks import LazyLabels, PackedMasks
from napari_hemacells.core.detect.cell_table import check_cells
from napari_hemacells.core.errors import ProjectError, StorageError
from napari_hemacells.core.files.decoding import MAX_SIDE, check_decoded
from napari_hemacells.core.files.fsio import atomic_path, write_bytes
from napari_hemacells.core.files.numpy_files import load_arrays
from napari_hemacells.core.files.safe_files import open_stream
from napari_hemacells.core.files.text_tables import frame_csv_bytes
from napari_hemacells.core.files.tiff_files import check_segments
from napari_hemacells.core.store.project_pictures import picture_numbers
from napari_hemacells.core.types import BOX_COLUMNS, CELL_COLUMNS, Cells, CellSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import BufferedReader
    from pathlib import Path

    from numpy.typing import NDArray

MAX_COLUMNS = 1000  # of a table of cells
_TILE = 512  # pixels
_MOST_PACKED = 1032  # times; what zlib makes of zeros
_CHECKSUM_TAG = 65011  # of the range that TIFF leaves to everybody: SHA-256 of table, of pixels

_DTYPES = {"class": "str", **dict.fromkeys(["label", "area", *BOX_COLUMNS], "int64")}
# Python's own reading of a number gives back every digit that was written.
_FLOAT_CONVERTERS = dict.fromkeys(["score", "row", "col"], float)

Side: TypeAlias = Annotated[int, Field(ge=0, le=MAX_SIDE)]


class _CellsOrigin(BaseModel):
    """What is stored beside the pixels of cells."""

    diameter: float = Field(ge=0, lt=1e6, allow_inf_nan=False)
    source: CellSource
    detector: str = ""
    context: Annotated[float, Field(gt=0, lt=1e6)] | None = None

    @classmethod
    def of(cls, cells: Cells) -> dict[str, Any]:
        """As plain JSON, without what most cells do not have."""
        about = cls(
            diameter=cells.diameter,
            source=cells.source,
            detector=cells.detector,
            context=cells.context,
        )
        return about.model_dump(exclude_none=True)


class _Description(_CellsOrigin):
    table: str


class _MasksDescription(_CellsOrigin):
    shape: tuple[Side, Side]
    columns: tuple[str, ...]


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table without its index as CSV that Excel opens rightly, whole or not at all.

    UTF-8 with a byte order mark; text that a spreadsheet would take for a formula is marked.
    """
    write_bytes(path, frame_csv_bytes(table))


def write_labels(
    path: Path,
    labels: NDArray[np.int32] | LazyLabels,
    description: str | None = None,
    checksum: str = "",
) -> None:
    """Write a label image as a zlib-compressed int32 TIFF, whole or not at all.

    One that is painted where it is looked at is written tile by tile.
    """
    import tifffile

    about: dict[str, Any] = {
        "compression": "zlib", "description": description, "metadata": None,
        "software": "napari-hemacells",
    }  # fmt: skip
    if checksum:
        about["extratags"] = [(_CHECKSUM_TAG, "s", 0, checksum, True)]
    with atomic_path(path) as temporary:
        if isinstance(labels, LazyLabels):
            about |= {"shape": labels.shape, "dtype": np.int32, "tile": (_TILE, _TILE)}
            tifffile.imwrite(temporary, _tiles(labels), **about)
        else:
            tifffile.imwrite(temporary, labels.astype(np.int32, copy=False), **about)


def _tiles(labels: LazyLabels) -> Iterator[NDArray[np.int32]]:
    rows, cols = labels.shape
    for row, col in product(range(0, rows, _TILE), range(0, cols, _TILE)):
        yield labels[row : row + _TILE, col : col + _TILE]


def write_cells(tif: Path, csv: Path, cells: Cells) -> None:
    """Write cells so that :func:`read_cells` gives them back exactly.

    Raises
    ------
    StorageError
        Where they cannot be written.
    """
    table = cells.table.to_csv(index=False, lineterminator="\n")
    description = json.dumps({**_CellsOrigin.of(cells), "table": table})
    labels = np.asarray(cells.labels).astype(np.int32, copy=False)
    checksum = f"{_digest([description.encode()])} {_digest_of_arrays([labels])}"
    write_labels(tif, labels, description, checksum)
    write_csv(csv, cells.table)


def read_cells(tif: Path) -> Cells:
    """The cells that :func:`write_cells` wrote.

    Raises
    ------
    ProjectError
        For a file that is missing or damaged.
    """
    import tifffile

    with _reading(tif) as stream, tifffile.TiffFile(stream) as file:
        _check_size(file)
        labels = file.asarray(key=0)
        if labels.ndim != 2 or labels.dtype.kind not in "iu":
            raise ValueError("it holds no label image")
        labels = labels.astype(np.int32)
        about, table = _read_description(file, labels)
    return Cells(labels, table, about.diameter, about.source, about.detector, about.context)


def read_ids(tif: Path) -> NDArray[np.int64]:
    """The ids of the cells that :func:`write_cells` wrote; their pixels are not read.

    Raises
    ------
    ProjectError
        For a file that is missing or damaged.
    """
    import tifffile

    with _reading(tif) as stream, tifffile.TiffFile(stream) as file:
        _, table = _read_description(file)
    return table["label"].to_numpy()


@contextmanager
def _reading(path: Path) -> Iterator[BufferedReader]:
    """Open a file of cells; whatever its decoders raise on damaged bytes is one named error."""
    try:
        with open_stream(path) as stream:
            yield stream
    except StorageError as error:
        raise ProjectError(str(error)) from error
    except Exception as error:
        raise damaged_file_error(path) from error


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _digest_of_arrays(arrays: Iterable[NDArray[Any]]) -> str:
    """Return the SHA-256 of kinds, shapes and values, whatever order of bytes they lie in."""
    return _digest(
        part
        for array in arrays
        for part in (
            f"{array.dtype.kind}{array.dtype.itemsize}{array.shape} ".encode(),
            np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes(),
        )
    )


def damaged_file_error(path: Path) -> ProjectError:
    """What to say of a file of cells that cannot be read."""
    return ProjectError(
        f"The cells in “{path}” cannot be read. Nothing was changed: restore the file from a "
        "copy, or remove it and detect the cells again."
    )


def _check_size(file: Any) -> None:
    """Refuse more pixels than zlib can pack into a file, before memory is asked for them."""
    page, size = file.pages.first, file.filehandle.size
    check_segments(page, size)
    if page.nbytes > _MOST_PACKED * size:
        raise ValueError("it says to hold more pixels than it can")
    check_decoded(page.chunks, 8, "A tile or strip")


def _read_description(
    file: Any, labels: NDArray[np.int32] | None = None
) -> tuple[_Description, pd.DataFrame]:
    """Return what a file says of its cells, checked; so are the pixels where they are given."""
    page = file.pages.first
    stored = page.tags.get(_CHECKSUM_TAG)
    if stored is not None:
        of_text, _, of_pixels = str(stored.value).partition(" ")
        same = of_text == _digest([page.description.encode()])
        if not same or (labels is not None and of_pixels != _digest_of_arrays([labels])):
            raise ValueError("the checksum is another one")
    description = _Description.model_validate_json(page.description)
    return description, _parse(description.table)


def _parse(text: str) -> pd.DataFrame:
    heading = text.partition("\n")[0].split(",")
    if len(heading) > MAX_COLUMNS or len({*heading}) < len(heading):
        raise ValueError("too many columns, or two of one name")  # pandas renames them one by one
    table = pd.read_csv(
        io.StringIO(text), dtype=_DTYPES, converters=_FLOAT_CONVERTERS, keep_default_na=False
    )  # fmt: skip
    missing = [column for column in CELL_COLUMNS if column not in table]
    if missing:
        raise ValueError(f"columns {missing} are missing")
    table = table.astype(dict.fromkeys(_FLOAT_CONVERTERS, "float64"))  # no rows: no floats either
    check_cells(table)
    return table


def write_masks(path: Path, labels: LazyLabels, cells: Cells) -> None:
    """Write cells so that :func:`read_masks` gives them back exactly.

    Raises
    ------
    StorageError
        Where they cannot be written.
    """
    about = {**_CellsOrigin.of(cells), "shape": labels.shape, "columns": list(cells.table)}
    content: dict[str, Any] = {
        "about": np.array(json.dumps(about)),
        "ids": labels.ids,
        "boxes": labels.masks.boxes,
        "bits": labels.masks.bits,
    }
    for name in cells.table:
        column = cells.table[name].to_numpy()
        content[f"column {name}"] = column.astype(np.str_) if column.dtype.kind == "O" else column
    content["checksum"] = np.array(_digest_of_arrays(content.values()))
    data = io.BytesIO()
    np.savez_compressed(data, **content)
    write_bytes(path, data.getvalue())


def read_masks(path: Path) -> Cells:
    """The cells that :func:`write_masks` wrote.

    Raises
    ------
    ProjectError
        For a file that is missing or damaged.
    """
    with _reading(path) as stream:
        stored = load_arrays(stream)
        checksum = stored.pop("checksum", None)
        if checksum is not None and str(checksum) != _digest_of_arrays(stored.values()):
            raise ValueError("the checksum is another one")
        about = _MasksDescription.model_validate_json(str(stored["about"]))
        columns = {name: stored[f"column {name}"] for name in about.columns}
        words = {name: "str" for name, column in columns.items() if column.dtype.kind == "U"}
        table = pd.DataFrame(columns).astype(words)
        masks = PackedMasks(stored["boxes"], stored["bits"])
        check_cells(table, masks)
        if not set(CELL_COLUMNS) <= set(table) or not np.array_equal(
            stored["ids"], table["label"].to_numpy()
        ):
            raise ValueError("masks and table do not fit one another")
        labels = LazyLabels(about.shape, stored["ids"], masks)
    return Cells(labels, table, about.diameter, about.source, about.detector, about.context)


def read_mask_ids(path: Path) -> NDArray[np.int64]:
    """The ids of the cells that :func:`write_masks` wrote; their masks are not read.

    Raises
    ------
    ProjectError
        For a file that is missing or damaged.
    """
    with _reading(path) as stream:
        labels = load_arrays(stream)["column label"]
        check_cells(pd.DataFrame({"label": labels}))
        return labels.astype(np.int64)


def read_cell_ids(file: Path) -> frozenset[int]:
    """Return the ids of the cells in a file of either kind, a label image or masks.

    Raises
    ------
    ProjectError
        For a file that is missing or damaged.
    """
    try:
        about = file.stat()
    except OSError as error:
        raise damaged_file_error(file) from error
    return _read_ids_cached(file, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=256)
def _read_ids_cached(file: Path, _changed: int, _size: int) -> frozenset[int]:
    if file.suffix == ".json":
        return picture_numbers(file)
    read = read_mask_ids if file.suffix == ".npz" else read_ids
    return frozenset(read(file).tolist())
