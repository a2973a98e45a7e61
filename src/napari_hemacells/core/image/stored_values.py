"""Values that lie in a file one after another, read where they are sliced.

No memory map: where a mapped file is cut short meanwhile, the system ends the whole process.
"""

from __future__ import annotations

import math
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class StoredValues:
    """An array in C order in a file, without compression.

    Threads may share it. The file is open as long as the object lives.

    Parameters
    ----------
    path
        The file.
    offset
        Bytes before the first value.
    shape, dtype
        Of the array.
    """

    def __init__(
        self, path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self._offset = offset
        # Kept open: a file that is replaced meanwhile stays the one that was opened.
        self._stream = path.open("rb", buffering=0)
        self._lock = Lock()

    def __del__(self) -> None:
        if stream := getattr(self, "_stream", None):
            stream.close()

    def __getitem__(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        """Return the values of whole numbers and slices without a step, one for each axis.

        Raises
        ------
        EOFError
            The file ends before.
        """
        spans = [
            range(length)[part] if isinstance(part, slice) else range(length)[part : part + 1]
            for part, length in zip(key, self.shape, strict=True)
        ]
        values = np.empty([len(span) for span in spans], self.dtype)
        with self._lock:
            self._fill(values, spans, 0)
        return values[tuple(0 if isinstance(part, int) else slice(None) for part in key)]

    def _fill(self, values: NDArray[Any], spans: list[range], start: int) -> None:
        """Read the part given by the last axes; `start` counts the values before it."""
        if not values.size:
            return
        axis = self.ndim - len(spans)
        stride = math.prod(self.shape[axis + 1 :])
        whole = all(
            len(span) == length
            for span, length in zip(spans[1:], self.shape[axis + 1 :], strict=True)
        )
        if whole:
            self._read(values, start + spans[0].start * stride)
            return
        for row, index in enumerate(spans[0]):
            self._fill(values[row], spans[1:], start + index * stride)

    def _read(self, values: NDArray[Any], start: int) -> None:
        self._stream.seek(self._offset + start * self.dtype.itemsize)
        target = values.view(np.uint8).reshape(-1).data
        done = 0
        while done < len(target):
            count = self._stream.readinto(target[done:])
            if not count:
                raise EOFError("the file ends before")
            done += count

    @property
    def ndim(self) -> int:
        """Axes of the array."""
        return len(self.shape)
