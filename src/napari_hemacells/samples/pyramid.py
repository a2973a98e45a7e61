"""Write a large image as a pyramid, piece by piece."""

from __future__ import annotations

import shutil
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

TILE = 512
MIN_LEVEL_SIZE = 1024  # longer side below which no further level is made
AXES = [
    {"name": "c", "type": "channel"},  # OME-Zarr wants it before the axes of space
    {"name": "y", "type": "space", "unit": "micrometer"},
    {"name": "x", "type": "space", "unit": "micrometer"},
]


def write_pyramid(
    path: Path,
    shape: tuple[int, int],
    piece: int,
    pieces: Iterable[tuple[int, int, NDArray[np.uint8]]],
    *,
    pixel_size_um: float,
) -> None:
    """Write ``(row, column, pixels)`` pieces of a colour image with levels of half the size.

    Parameters
    ----------
    path
        OME-Zarr 0.4 if it ends with ``.zarr``, otherwise a tiled OME-TIFF; an existing file is
        replaced.
    piece
        Side length of a piece; a multiple of :data:`TILE`.
    """
    import zarr

    as_zarr = path.suffix.lower() == ".zarr"
    folder = path if as_zarr else path.with_name(path.name + ".part.zarr")
    shutil.rmtree(folder, ignore_errors=True)
    group = zarr.open_group(folder, mode="w", zarr_format=2)
    finest = _level(group, 0, shape)
    for row, col, pixels in pieces:
        finest[:, row : row + piece, col : col + piece] = np.moveaxis(pixels, -1, 0)
    levels = [finest]
    while max(levels[-1].shape[1:]) > MIN_LEVEL_SIZE:
        levels.append(_halved(group, len(levels), levels[-1]))
    group.attrs["multiscales"] = [_metadata(levels, pixel_size_um)]
    if not as_zarr:
        _write_tiff(path, levels, pixel_size_um)
        shutil.rmtree(folder)


def _level(group: Any, number: int, shape: tuple[int, int]) -> Any:
    return group.create_array(
        str(number),
        shape=(3, *shape),
        chunks=(3, TILE, TILE),
        dtype="uint8",
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )


def _halved(group: Any, number: int, above: Any) -> Any:
    """Write the next level by averaging 2 × 2 pixels."""
    rows, cols = (length // 2 for length in above.shape[1:])
    level = _level(group, number, (rows, cols))
    for row, col in product(range(0, rows, 2 * TILE), range(0, cols, 2 * TILE)):
        bottom, right = min(row + 2 * TILE, rows), min(col + 2 * TILE, cols)
        part = above[:, 2 * row : 2 * bottom, 2 * col : 2 * right].astype(np.uint16)
        part = part[:, ::2] + part[:, 1::2]
        mean = (part[..., ::2] + part[..., 1::2] + 2) // 4
        level[:, row:bottom, col:right] = mean.astype(np.uint8)
    return level


def _metadata(levels: list[Any], pixel_size_um: float) -> dict[str, Any]:
    """Return the entry of ``multiscales``, version 0.4."""
    datasets = []
    for number in range(len(levels)):
        step = pixel_size_um * 2**number
        scale = {"type": "scale", "scale": [1.0, step, step]}
        datasets.append({"path": str(number), "coordinateTransformations": [scale]})
    return {"version": "0.4", "name": "smear", "axes": AXES, "datasets": datasets}


def _write_tiff(path: Path, levels: list[Any], pixel_size_um: float) -> None:
    import tifffile

    size = {"PhysicalSizeX": pixel_size_um, "PhysicalSizeXUnit": "µm"}
    size |= {"PhysicalSizeY": pixel_size_um, "PhysicalSizeYUnit": "µm"}
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for number, level in enumerate(levels):
            tiff.write(
                _tiles(level),
                shape=(*level.shape[1:], 3),
                dtype=level.dtype,
                tile=(TILE, TILE),
                photometric="rgb",
                compression="deflate",
                subifds=len(levels) - 1 if number == 0 else None,
                subfiletype=0 if number == 0 else 1,
                metadata={"axes": "YXS", **size} if number == 0 else None,
            )


def _tiles(level: Any) -> Iterator[NDArray[np.uint8]]:
    rows, cols = level.shape[1:]
    for row, col in product(range(0, rows, TILE), range(0, cols, TILE)):
        tile = level[:, row : row + TILE, col : col + TILE]
        yield np.ascontiguousarray(np.moveaxis(tile, 0, -1))
