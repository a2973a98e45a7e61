"""The pixels of pictures of one cell each: whole, as thumbnails, and as what identifies them."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.files.decoding import decoding
from napari_hemacells.core.image import picture_size, read_pixels
from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.image.picture import open_pillow
from napari_hemacells.core.temperature.normalise import celsius_to_rgb

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.image.plane_selection import PlaneSelection
    from napari_hemacells.core.types import BitDepth

MAX_PICTURE_PIXELS = 100_000_000  # of a picture that shows one cell
AHEAD = 4  # pictures of each thread that are read before they are asked for
_DRAFT_SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".bmp"})
_PLAIN_MODES = frozenset({"L", "RGB"})

Item = TypeVar("Item")
Result = TypeVar("Result")


def picture_pixels(
    file: Path,
    depths: Sequence[BitDepth] = (),
    selection: PlaneSelection = WHOLE_PICTURE,
) -> NDArray[Any]:
    """Return the colours or degrees of a picture of one cell.

    Parameters
    ----------
    depths
        What :func:`~napari_hemacells.core.image.guess_run_depths` says of its folder.
    selection
        The plane of a stack, and the channels.

    Raises
    ------
    ImageError
        It cannot be read, or is far too large to be one cell.
    """
    rows, cols = picture_size(file, selection)
    if rows * cols > MAX_PICTURE_PIXELS:
        raise ImageError(
            f"{file.name} has {rows:,} × {cols:,} pixels and is no picture of one cell: cut the "
            "cells out, or detect them in it."
        )
    return read_pixels(file, run_depths=depths, selection=selection)


def read_thumbnail(
    file: Path, side: int, depths: Sequence[BitDepth] = (), *, degrees: bool = False
) -> NDArray[np.uint8]:
    """``(side, side, 3)`` the whole picture, with bars in the colour of its border.

    A plain JPEG is decoded at a fraction of its size.

    Parameters
    ----------
    degrees
        Whether the picture may hold degrees: it is then never taken for the colours of a JPEG.

    Raises
    ------
    ImageError
        It cannot be read.
    """
    plain = None if degrees else _plain_picture(file, side)
    pixels: NDArray[Any] = picture_pixels(file, depths) if plain is None else plain
    if pixels.ndim == 2:
        shown = celsius_to_rgb(pixels.astype(np.float32, copy=False), "range")
        return letterboxed(np.rint(shown).astype(np.uint8), side)
    return letterboxed(pixels, side)


def letterboxed(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return ``(rows, cols, 3)`` colours resampled into ``(side, side, 3)``, bars beside them."""
    from PIL import Image

    rows, cols = pixels.shape[:2]
    scale = side / max(rows, cols)
    size = (max(1, round(cols * scale)), max(1, round(rows * scale)))
    inner = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    if inner.shape[:2] == (side, side):
        return inner
    edges = [inner[0], inner[-1], inner[:, 0], inner[:, -1]]
    bars = np.median(np.concatenate(edges), axis=0).astype(np.uint8)
    boxed = np.broadcast_to(bars, (side, side, 3)).copy()
    top, left = (side - inner.shape[0]) // 2, (side - inner.shape[1]) // 2
    boxed[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return boxed


def _plain_picture(file: Path, side: int) -> NDArray[np.uint8] | None:
    """Return a small version of a picture of 8 bits; ``None`` for one that needs the reader."""
    if file.suffix.lower() not in _DRAFT_SUFFIXES:
        return None
    with decoding(file, "a picture"), open_pillow(file) as picture:
        plain = picture.mode in _PLAIN_MODES and getattr(picture, "n_frames", 1) == 1
        if not plain or picture.width * picture.height > MAX_PICTURE_PIXELS:
            return None
        picture.draft("RGB", (side, side))
        return np.asarray(picture.convert("RGB"))


def content_digest(file: Path) -> bytes:
    """Return the SHA-256 of a file's bytes.

    Raises
    ------
    OSError
        It cannot be read.
    """
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def digest_row(digest: bytes) -> NDArray[np.int64]:
    """``(4,)`` a SHA-256 as the embedding cache keeps it."""
    return np.frombuffer(digest, dtype="<i8").astype(np.int64)


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None
) -> Generator[Result, None, None]:
    """Yield the result for each item in order; a bounded number of them is worked on ahead.

    Closing the iterator early leaves no work behind.
    """
    count = threads or min(8, os.cpu_count() or 1)
    pending: deque[Any] = deque()
    with ThreadPoolExecutor(max_workers=count, thread_name_prefix="pictures") as pool:
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) >= count * AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for waiting in pending:
                waiting.cancel()
