"""Several files as one lazy stack: a frame is read when it is shown."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.temperature.files import read_celsius
from napari_hemacells.core.temperature.matrix_format import MatrixFormat, sniff_matrix
from napari_hemacells.core.temperature.text import TEXT_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

KEPT_FRAMES = 16  # of 480×640 about 20 MB


class FrameFiles:
    """Files that hold one frame each, read one by one, the latest kept in memory.

    Threads may share it.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._kept: OrderedDict[int, NDArray[np.float32]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def middle(self) -> int:
        """Index of the frame that a viewer shows first."""
        return (len(self) - 1) // 2

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the middle frame, which the others must have."""
        rows, cols = self.read(self.middle).shape
        return rows, cols

    def read(self, index: int) -> NDArray[np.float32]:
        """``(rows, cols)`` float32 °C of the frame with an index.

        Raises
        ------
        ThermogramError
            As :func:`read_celsius`, or a file with several frames.
        """
        with self._lock:
            if index not in self._kept:
                self._kept[index] = _one_frame(self.paths[index])
                while len(self._kept) > KEPT_FRAMES:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(index)
            return self._kept[index]

    def lazy(self) -> Any:
        """``(frames, rows, cols)`` dask array of float32 °C, a chunk a frame.

        The middle frame is read, the others when they are looked at.

        Raises
        ------
        ThermogramError
            The middle frame cannot be read; the same later on for the others.
        """
        import dask.array as da
        from dask.delayed import delayed

        shape = self.shape

        def frame(index: int) -> NDArray[np.float32]:
            celsius = self.read(index)
            if celsius.shape != shape:
                raise ThermogramError(_other_size(self.paths[index], celsius.shape, shape))
            return celsius

        later = delayed(frame, pure=True)
        places = range(len(self))
        chunks = [
            da.from_delayed(later(index), shape, "f4")  # type: ignore[no-untyped-call]
            for index in places
        ]
        return da.stack(chunks)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class FrameGroup:
    """Files whose frames have the same size, judged without reading them."""

    paths: tuple[Path, ...]
    columns: int


def group_by_size(paths: Sequence[Path]) -> list[FrameGroup]:
    """Group the files by width, in order of first occurrence.

    Only the beginning of text files is looked at; files of other kinds make a group a kind.
    """
    groups: dict[tuple[str, int], list[Path]] = {}
    for path in paths:
        matrix_format = _sniff(path)
        key = ("text", matrix_format.columns) if matrix_format else (path.suffix.lower(), 0)
        groups.setdefault(key, []).append(path)
    return [FrameGroup(tuple(members), key[1]) for key, members in groups.items()]


def _sniff(path: Path) -> MatrixFormat | None:
    """Return the format of a text matrix; ``None`` for other files and unreadable ones."""
    if path.suffix.lower() not in TEXT_SUFFIXES:
        return None
    try:
        return sniff_matrix(path)
    except OSError:
        return None


def _one_frame(path: Path) -> NDArray[np.float32]:
    celsius = read_celsius(path)
    if celsius.ndim != 2:
        raise ThermogramError(
            f"{path.name} holds {len(celsius)} frames; open it by itself, not beside others."
        )
    return celsius


def _other_size(path: Path, size: tuple[int, ...], wanted: tuple[int, int]) -> str:
    return (
        f"{path.name} has {size[0]} × {size[1]} pixels, the frame in the middle {wanted[0]} × "
        f"{wanted[1]}: put frames of another size into a folder of their own."
    )
