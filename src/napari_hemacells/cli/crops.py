"""A folder with a sub-folder of crops a class, read a batch at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from napari_hemacells.cli.sources import SUFFIXES
from napari_hemacells.core.errors import ImageError


class Pictures(Sequence[NDArray[np.uint8]]):
    """The pictures of files, read when they are asked for: thousands of them fit in memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, place: int) -> NDArray[np.uint8]: ...

    @overload
    def __getitem__(self, place: slice) -> list[NDArray[np.uint8]]: ...

    def __getitem__(self, place: int | slice) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
        """Return ``(rows, cols, 3)`` uint8 pictures."""
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        from napari_hemacells.core.image import read_image

        return np.asarray(read_image(self.paths[place]).pixels, dtype=np.uint8)


def find_classes(folder: Path) -> dict[str, list[Path]]:
    """Return the crops of each class, by the name of its sub-folder; empty ones are left out.

    Raises
    ------
    ImageError
        If there is no folder of that name, or no picture in any of its sub-folders.
    """
    if not folder.is_dir():
        raise ImageError(f"There is no folder {folder}: give one with a sub-folder a class.")
    classes = {
        sub.name: sorted(path for path in sub.iterdir() if path.suffix.lower() in SUFFIXES)
        for sub in sorted(folder.iterdir())
        if sub.is_dir() and not sub.name.startswith(".")
    }
    classes = {name: paths for name, paths in classes.items() if paths}
    if not classes:
        raise ImageError(
            f"{folder} holds no crops: it needs a sub-folder a class with pictures in it."
        )
    return classes
