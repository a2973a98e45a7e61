"""Regions of many thermograms: a table in °C, and crops for training."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import pandas as pd

from napari_hemacells.core.errors import ImageError, StorageError
from napari_hemacells.core.files.fsio import distinct_names, file_name, write_bytes
from napari_hemacells.core.temperature import read_celsius
from napari_hemacells.core.thermography.regions import find_regions
from napari_hemacells.core.thermography.regions.crops import mirrored_crops
from napari_hemacells.core.thermography.regions.measure import measure_regions, write_table
from napari_hemacells.core.types import Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.thermography.regions import ThermogramRegions

CropKind: TypeAlias = Literal["none", "breasts", "pairs"]
TABLE, CROPS, SUFFIX = "regions.csv", "crops", ".celsius.tif"


def export_regions_steps(
    files: Sequence[Path], folder: Path, *, crops: CropKind = "none", size: int = 224
) -> Generator[Progress, None, tuple[Path, list[str]]]:
    """Return the table of all regions and why files were left out; yield after each file.

    ``regions.csv`` has a row a region of each frame, as :func:`measure_regions` gives them, with
    the file. Crops go into ``crops``, in a folder named as the file's own: class folders in, class
    folders out.

    Parameters
    ----------
    crops
        ``breasts``: each breast, the right one mirrored. ``pairs``: both side by side in one
        picture, so that a network sees the difference. float32 °C.
    size
        Side of a crop in pixels; a pair has half of it for each breast.

    Raises
    ------
    StorageError
        The folder cannot be written, or no file could be read.
    """
    tables, left_out = [], []
    targets = _crop_files(files)
    for done, (file, target) in enumerate(zip(files, targets, strict=True), start=1):
        try:
            regions = find_regions(_frame(file))
        except ImageError as error:
            left_out.append(f"{file.name}: {error}")
            continue
        table = measure_regions(regions)
        table.insert(0, "file", str(file))
        tables.append(table)
        for name, crop in crops_of(regions, crops, size):
            write_bytes(folder / CROPS / f"{target}{name}", _tiff(crop))
        yield Progress(done, len(files), f"Measuring {file.name}")
    if not tables:
        raise StorageError(f"No thermogram could be measured. {' '.join(left_out[:1])}")
    return write_table(pd.concat(tables, ignore_index=True), folder / TABLE), left_out


def crops_of(
    regions: ThermogramRegions, kind: CropKind, size: int
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the suffix of a name and its crop."""
    if kind == "breasts":
        for side, crop in mirrored_crops(regions, size).items():
            yield f".{side}{SUFFIX}", crop
    elif kind == "pairs" and len(regions.breasts) == 2:
        both = mirrored_crops(regions, size)
        narrow = [both[side].reshape(size, size // 2, -1).mean(axis=2) for side in both]
        yield f".pair{SUFFIX}", np.concatenate(narrow, axis=1).astype(np.float32)


def _crop_files(files: Sequence[Path]) -> list[str]:
    """Return ``FOLDER/NAME`` for the crops of each file, no two alike.

    Folders of one name stay one class; files of one name in them get a number behind it.
    """
    stems = [file.name.removesuffix(file.suffix).removesuffix(".celsius") for file in files]
    targets = [
        f"{file_name(file.parent.name)}/{file_name(stem)}"
        for file, stem in zip(files, stems, strict=True)
    ]
    return distinct_names(targets, mark=".")


def _frame(file: Path) -> NDArray[np.float32]:
    """Return the frame of a file, the first where there are several."""
    celsius = read_celsius(file)
    return celsius[0] if celsius.ndim == 3 else celsius


def _tiff(celsius: NDArray[np.float32]) -> bytes:
    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        celsius,
        photometric="minisblack",
        compression="zlib",
        description=json.dumps({"unit": "celsius"}),
        metadata=None,
    )
    return stream.getvalue()
