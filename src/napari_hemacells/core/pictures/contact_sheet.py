"""A contact sheet: the pictures of a collection side by side, as one image that is read lazily.

Each picture has its tile, whose place follows from its number alone. What a viewer shows never
waits for a file: pictures that were not read yet are dark until :meth:`ContactSheet.load` has
read them, in whatever thread.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_hemacells.core.cell_masks import BoxMasks, LazyLabels
from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.files.fsio import atomic_path
from napari_hemacells.core.files.numpy_files import load_arrays
from napari_hemacells.core.files.safe_files import open_stream
from napari_hemacells.core.image.colour import ValueScale
from napari_hemacells.core.image.layout import Layout
from napari_hemacells.core.image.lazy import LazyPixels
from napari_hemacells.core.types import BOX_COLUMNS, Cells, SmearImage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.pictures.collection import CellPictures
    from napari_hemacells.core.types import CropSpec

TILE, MARGIN = 96, 3  # pixels of a tile, and of the gap around the picture in it
SIDE = TILE - 2 * MARGIN
SMALL = (24, 12, 6)  # sides of the tiles that are kept of every picture
STEPS = (1, 2, 4, 8, 16)  # of the levels; a tile has 96, 48, 24, 12 and 6 pixels
SHARP = 1600  # tiles that are kept at full size, about 44 MB
BACKGROUND = 34  # grey of the gaps, and of pictures that were not read yet
SMALLEST_LEVEL = 512  # pixels
AT_ONCE = 64  # tiles that are put in their places before a view may ask again
PREVIEWED = 4  # pictures along each side of a preview
ASPECT = 1.5  # columns to rows


class ContactSheet:
    """The pictures of a collection as one image, :attr:`pixels`.

    Threads may share it: one loads pictures while another reads.

    Parameters
    ----------
    pictures
        The collection; a picture's number says where its tile is.
    """

    def __init__(self, pictures: CellPictures) -> None:
        self.pictures = pictures
        self._last = count = int(pictures.numbers.max(initial=1))
        self.columns = max(1, int(np.ceil(np.sqrt(ASPECT * count))))
        self.tile_rows = -(-count // self.columns)
        self.shape = (self.tile_rows * TILE, self.columns * TILE)
        places = self.tile_rows * self.columns
        self._small = {side: np.full((places, side, side, 3), BACKGROUND, np.uint8)
                       for side in SMALL}  # fmt: skip
        longest = max(self.shape)
        steps = [step for step in STEPS if longest / step >= SMALLEST_LEVEL] or [1]
        self.steps = tuple(steps) if len(steps) > 1 else (1, 2)  # one level is no pyramid
        # In memory, and changed in place: napari keeps what it once read of the coarsest level.
        coarsest = self.steps[-1]
        self._whole = np.full(
            (self.shape[0] // coarsest, self.shape[1] // coarsest, 3), BACKGROUND, np.uint8
        )
        self.loaded = np.zeros(places, np.bool_)
        self.wanted: set[int] = set()
        self._thumbnails_wanted: dict[int, int] = {}  # side by number
        self._sharp: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.RLock()

    # --- places ------------------------------------------------------------------------------

    def boxes(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """``(n, 4)`` half-open boxes of these pictures on the sheet."""
        row, column = np.divmod(np.asarray(numbers, dtype=np.int64) - 1, self.columns)
        corner = np.stack([row, column], axis=1) * TILE + MARGIN
        return np.concatenate([corner, corner + SIDE], axis=1)

    def cells(self, only: NDArray[np.int64] | None = None) -> Cells:
        """A cell for each picture that is there and can be read; its id is the number.

        `only` names those that may be among them. The table has a further column ``file``: the
        picture's path from the folder.
        """
        numbers = self._numbers()
        numbers = numbers[~np.isin(numbers, list(self.pictures.unreadable))]
        numbers = numbers if only is None else np.intersect1d(numbers, only)
        names = self._names_of(numbers).tolist()
        boxes = self.boxes(numbers)
        table = pd.DataFrame({"label": numbers})
        table = table.assign(
            **{"class": pd.Series([""] * len(numbers), dtype="str")},
            score=1.0,
            row=(boxes[:, 0] + boxes[:, 2] - 1) / 2,
            col=(boxes[:, 1] + boxes[:, 3] - 1) / 2,
            **dict(zip(BOX_COLUMNS, boxes.T, strict=True)),
            area=SIDE * SIDE,
            file=pd.Series(names, dtype="str"),
        )
        labels = LazyLabels(self.shape, numbers, BoxMasks(boxes.astype(np.int32)))
        return Cells(labels, table, float(SIDE), source="whole")

    # --- crops -------------------------------------------------------------------------------

    def crops(self, numbers: Iterable[int], spec: CropSpec) -> NDArray[Any]:
        """``(n, size, size, 3)`` crops of the pictures, as their collection frames them."""
        return self.pictures.crops(numbers, spec)

    def framing(self, spec: CropSpec) -> float:
        """Return the side of a crop's square, divided by the longer side of its picture."""
        return self.pictures.framing(spec)

    def thumbnail_now(self, number: int, side: int) -> tuple[NDArray[np.uint8], bool]:
        """``(side, side, 3)`` uint8 the whole picture, and whether it is sharp; no file is opened.

        A picture that is not sharp is noted, to be read by :meth:`load_thumbnails`.
        """
        known = self.pictures.known_thumbnail(number, side)
        if known is not None:
            return known, True
        with self._lock:
            tile = self._sharp.get(number)
        sharp = tile is not None and side <= SIDE
        if not sharp:
            self._thumbnails_wanted[number] = side
        small = self._small[SMALL[0]][number - 1][1:-1, 1:-1]
        source = small if tile is None else tile[MARGIN:-MARGIN, MARGIN:-MARGIN]
        return _resized(source, side), sharp

    def load_thumbnails(self, count: int) -> int:
        """Read so many of the pictures that :meth:`thumbnail_now` noted; return how many."""
        with self._lock:
            wanted = list(self._thumbnails_wanted.items())[-count:]  # the last ones are in sight
            for number, _ in wanted:
                del self._thumbnails_wanted[number]
        by_side: dict[int, list[int]] = {}
        for number, side in wanted:
            by_side.setdefault(side, []).append(number)
        for side, numbers in by_side.items():
            self.pictures.thumbnails(numbers, side)
        return len(wanted)

    @property
    def has_wishes(self) -> bool:
        """Whether something was shown that is not sharp yet."""
        return bool(self.wanted or self._thumbnails_wanted)

    def preview(self) -> NDArray[np.uint8]:
        """``(96, 96, 3)`` uint8: sixteen of the pictures, or as many as there are."""
        numbers = self._numbers()
        chosen = numbers[:: -(-len(numbers) // PREVIEWED**2) or 1].tolist()
        self.load(chosen, sharp=False)
        side = SMALL[0]
        picture = np.full((PREVIEWED * side, PREVIEWED * side, 3), BACKGROUND, np.uint8)
        for index, tile in enumerate(self.small_tiles(np.array(chosen, int), side)):
            row, column = divmod(index, PREVIEWED)
            picture[row * side : (row + 1) * side, column * side : (column + 1) * side] = tile
        return picture

    # --- pixels ------------------------------------------------------------------------------

    @property
    def pixels(self) -> LazyPixels:
        """``(rows, cols, 3)`` uint8; pictures are read where they are sliced."""
        return _as_pixels([SheetLevel(self, 1, waits=True)])

    def display_levels(self) -> Sequence[Any]:
        """The levels that a viewer shows, the finest first; reading them never waits.

        The last one is an array that changes in place while pictures are read.
        """
        levels = [SheetLevel(self, step, waits=False) for step in self.steps[:-1]]
        return [*_as_pixels(levels).levels, self._whole]

    def load(self, numbers: Iterable[int], *, sharp: bool = True) -> None:
        """Read these pictures' tiles.

        Parameters
        ----------
        sharp
            Whether the tiles are wanted at full size too.
        """
        wanted = [int(number) for number in numbers]
        thumbnails = self.pictures.thumbnails(wanted, SIDE)
        for number, picture in zip(wanted, thumbnails, strict=True):
            self._put(number, _tile(picture), sharp=sharp)

    def take_wanted(self, count: int) -> list[int]:
        """Numbers of pictures that were looked at and are not sharp yet; they are taken off."""
        with self._lock:
            taken = sorted(self.wanted)[:count]
            self.wanted.difference_update(taken)
            return taken

    def not_loaded(self) -> NDArray[np.int64]:
        """Numbers of the pictures that are there and were not read yet, ascending."""
        numbers = self._numbers()
        return np.asarray(numbers[~self.loaded[numbers - 1]])

    def save_tiles(self, file: Path) -> None:
        """Keep the small tiles in a file, which may be deleted at any time."""
        with self._lock:
            numbers = np.flatnonzero(self.loaded) + 1
            small = self._small[SMALL[0]][numbers - 1]
        with atomic_path(file) as temporary, temporary.open("wb") as stream:
            np.savez(stream, numbers=numbers, names=self._names_of(numbers), tiles=small)

    def read_tiles(self, file: Path) -> None:
        """Take the small tiles from a file that :meth:`save_tiles` wrote, where they fit.

        Without the file, or with a damaged one, nothing happens.
        """
        try:
            with open_stream(file) as stream:
                stored = load_arrays(stream)
            numbers, names, tiles = stored["numbers"], stored["names"], stored["tiles"]
        except (OSError, StorageError, ValueError, KeyError):
            return
        if tiles.shape != (len(numbers), SMALL[0], SMALL[0], 3) or len(names) != len(numbers):
            return
        here = np.isin(numbers, self._numbers())
        here[here] = self._names_of(numbers[here]) == names[here]
        self._put_small(numbers[here], tiles[here].astype(np.uint8, copy=False))

    def take_tiles(self, before: ContactSheet) -> None:
        """Take the tiles of an earlier sheet of the same pictures."""
        numbers = self._numbers()
        numbers = numbers[numbers <= len(before.loaded)]
        numbers = numbers[before.loaded[numbers - 1]]
        self._put_small(numbers, before.small_tiles(numbers, SMALL[0]))

    def _put_small(self, numbers: NDArray[np.int64], tiles: NDArray[np.uint8]) -> None:
        for begin in range(0, len(numbers), AT_ONCE):
            part, some = numbers[begin : begin + AT_ONCE], tiles[begin : begin + AT_ONCE]
            with self._lock:
                self._small[SMALL[0]][part - 1] = some
                for coarse in SMALL[1:]:
                    self._small[coarse][part - 1] = _reduced(some, SMALL[0] // coarse)
                self.loaded[part - 1] = True
                for number, tile in zip(part.tolist(), some, strict=True):
                    self._paint(number, tile)

    def _numbers(self) -> NDArray[np.int64]:
        """Numbers of the pictures that are there and have a tile; newer ones wait for another."""
        numbers = self.pictures.numbers
        there = ~np.isin(numbers, list(self.pictures.missing)) & (numbers <= len(self.loaded))
        return numbers[there]

    def forget(self, numbers: Iterable[int]) -> None:
        """Forget the tiles of pictures that have changed."""
        with self._lock:
            for number in numbers:
                self._sharp.pop(number, None)
                self.loaded[number - 1] = False
                for small in self._small.values():
                    small[number - 1] = BACKGROUND
                self._paint(number, self._small[SMALL[0]][number - 1])

    def _paint(self, number: int, tile: NDArray[np.uint8]) -> None:
        """Paint a tile of any size on the coarsest level."""
        side = TILE // self.steps[-1]
        if len(tile) >= side:
            small = _reduced(tile[np.newaxis], len(tile) // side)[0]
        else:
            small = tile.repeat(side // len(tile), axis=0).repeat(side // len(tile), axis=1)
        row, column = divmod(number - 1, self.columns)
        self._whole[row * side : (row + 1) * side, column * side : (column + 1) * side] = small

    def _is_there(self, number: int) -> bool:
        return self._last >= number and number not in self.pictures.missing

    def _names_of(self, numbers: NDArray[np.int64]) -> NDArray[np.str_]:
        return np.array([self.pictures.entry(number).name for number in numbers.tolist()], str)

    def _put(self, number: int, tile: NDArray[np.uint8], *, sharp: bool) -> None:
        with self._lock:
            for side, small in self._small.items():
                small[number - 1] = _reduced(tile[np.newaxis], TILE // side)[0]
            self.loaded[number - 1] = True
            self._paint(number, tile)
            if sharp:
                self._sharp[number] = tile
                while len(self._sharp) > SHARP:
                    self._sharp.popitem(last=False)

    def tile(self, number: int, *, waits: bool) -> NDArray[np.uint8]:
        """``(96, 96, 3)`` the tile of a picture; enlarged from a small one until it is read."""
        with self._lock:
            known = self._sharp.get(number)
            if known is not None:
                self._sharp.move_to_end(number)
                return known
        if self._is_there(number):
            if waits:
                self.load([number])
                return self._sharp[number]
            self.wanted.add(number)
        enlarge = TILE // SMALL[0]
        small = self._small[SMALL[0]][number - 1]
        return np.asarray(small.repeat(enlarge, axis=0).repeat(enlarge, axis=1))

    def small_tiles(self, numbers: NDArray[np.int64], side: int) -> NDArray[np.uint8]:
        """``(..., side, side, 3)`` small tiles, dark where they were not read yet."""
        return np.asarray(self._small[side][numbers - 1])


class SheetLevel:
    """One level of a sheet; reads like a ``(rows, cols, 3)`` array by slices of rows and columns.

    Parameters
    ----------
    step
        Pixels of the sheet to one of the level.
    waits
        Whether a picture that was not read yet is read now.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, sheet: ContactSheet, step: int, *, waits: bool) -> None:
        self.sheet, self.step, self.waits = sheet, step, waits
        self.shape = (sheet.shape[0] // step, sheet.shape[1] // step, 3)

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[np.uint8]:
        side = TILE // self.step
        rows, cols = (range(*index.indices(length))
                      for index, length in zip(key[:2], self.shape, strict=False))  # fmt: skip
        down = np.arange(rows.start // side, -(-rows.stop // side))
        across = np.arange(cols.start // side, -(-cols.stop // side))
        numbers = down[:, None] * self.sheet.columns + across + 1
        whole = self._tiles(numbers, side).swapaxes(1, 2)
        whole = whole.reshape(len(down) * side, len(across) * side, 3)
        top, left = (
            (int(down[0]) * side if len(down) else 0),
            (int(across[0]) * side if len(across) else 0),
        )
        return whole[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]

    def _tiles(self, numbers: NDArray[np.int64], side: int) -> NDArray[np.uint8]:
        """``(rows, columns, side, side, 3)``."""
        if side in SMALL and not self.waits:
            return self.sheet.small_tiles(numbers, side)
        tiles = np.empty((numbers.size, side, side, 3), np.uint8)
        for index, number in enumerate(numbers.ravel().tolist()):
            tile = self.sheet.tile(number, waits=self.waits)
            tiles[index] = _reduced(tile[np.newaxis], self.step)[0] if self.step > 1 else tile
        return tiles.reshape(*numbers.shape, side, side, 3)


def sheet_image(pictures: CellPictures) -> SmearImage:
    """The contact sheet of a collection as an image, known by the collection's key.

    Its overview shows the pictures that were read already.
    """
    return image_of_sheet(ContactSheet(pictures))


def image_of_sheet(sheet: ContactSheet) -> SmearImage:
    """A contact sheet as an image."""
    pictures, small = sheet.pictures, sheet.display_levels()[-1]
    return SmearImage(
        pixels=sheet.pixels,  # type: ignore[arg-type]  # anything with shape, dtype and slicing
        key=pictures.key,
        name=pictures.folder.name or str(pictures.folder),
        path=pictures.folder,
        overview=small,
        sheet=sheet,
    )


def sheet_of(image: SmearImage | None) -> ContactSheet | None:
    """The contact sheet that an image is; ``None`` for any other image."""
    sheet = None if image is None else image.sheet
    return sheet if isinstance(sheet, ContactSheet) else None


def _as_pixels(levels: Sequence[SheetLevel]) -> LazyPixels:
    first, *below = (
        LazyPixels(level, Layout.of_shape(level.shape), ValueScale()) for level in levels
    )
    return LazyPixels(first.source, first.layout, first.scale, below)


def _tile(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture of 90 pixels in its tile of 96."""
    tile = np.full((TILE, TILE, 3), BACKGROUND, np.uint8)
    tile[MARGIN:-MARGIN, MARGIN:-MARGIN] = picture
    return tile


def _resized(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    from PIL import Image

    small = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(small.resize((side, side), Image.Resampling.BILINEAR))


def _reduced(tiles: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """``(n, side / step, side / step, 3)`` means of squares of `step` pixels."""
    count, side = tiles.shape[:2]
    small = side // step
    means = tiles.reshape(count, small, step, small, step, 3).mean(axis=(2, 4))
    return np.asarray(np.rint(means), dtype=np.uint8)
