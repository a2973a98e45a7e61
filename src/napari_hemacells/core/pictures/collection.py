"""An ordered collection of picture files with one cell each, read when they are asked for."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from napari_hemacells.core.crop import estimate_context, from_picture
from napari_hemacells.core.errors import CellsError, ImageError
from napari_hemacells.core.image import guess_run_depths, picture_size
from napari_hemacells.core.pictures.labels import MatchedLabels, match_labels
from napari_hemacells.core.pictures.listing import ListedPicture, list_pictures, patient_of
from napari_hemacells.core.pictures.reading import (
    content_digest,
    digest_row,
    in_threads,
    picture_pixels,
    read_thumbnail,
)
from napari_hemacells.core.pictures.table import (
    PictureEntry,
    PictureTable,
    read_picture_table,
    write_picture_table,
)
from napari_hemacells.core.types import LearnedFrom

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.pictures.labels import LabelTable
    from napari_hemacells.core.pictures.listing import PictureListing
    from napari_hemacells.core.types import BitDepth, CropSpec, Modality

SAMPLE = 100  # pictures that tell how large the cell is in them
DEPTH_SAMPLE = 1000  # pictures whose headers tell the bit depth
TRIES = 50  # pictures looked at for the first that can be read
THUMBNAIL_BYTES = 48 * 2**20  # of thumbnails kept in memory
GREY = 128  # of the crop of a picture that cannot be read
MIXED = "{} is {}, the others are {}: keep thermograms and colour pictures in folders apart."


@dataclass(frozen=True)
class PictureChanges:
    """What became of a folder since its pictures were numbered; each by its number.

    Attributes
    ----------
    added
        New files.
    missing
        No longer there; they keep their numbers.
    back
        Were missing and are there again.
    moved
        Were renamed or moved within the folder; recognised by their content.
    changed
        Have another content than before under the same name.
    """

    added: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    back: tuple[int, ...] = ()
    moved: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()

    @property
    def any(self) -> bool:
        """Whether anything is not as it was."""
        return any((self.added, self.missing, self.back, self.moved, self.changed))


class CellPictures:
    """Picture files with one cell each; use :meth:`open`, :meth:`of_files` or :meth:`load`.

    The cell of a picture is called by the picture's number. Numbers start at 1, follow the names
    when a folder is first opened, and never change: new files come behind the others, missing
    ones keep theirs. Threads may share a collection; a copy in another process reads the files
    anew.

    Attributes
    ----------
    folder
        Where the pictures are.
    key
        Identity of the collection: 16 hexadecimal digits.
    passed_over
        Sentences about files that are no pictures.
    unreadable
        Why pictures cannot be read, by number, as far as it was tried.
    """

    def __init__(
        self, table: PictureTable, folder: Path, passed_over: tuple[str, ...] = ()
    ) -> None:
        self.folder, self.key, self.passed_over = folder, table.key, passed_over
        self.unreadable: dict[int, str] = {}
        self._entries = {entry.number: entry for entry in table.entries}
        self._missing: set[int] = set()
        self._modality, self._context, self._depths = table.modality, table.context, table.depths
        self._whole_folder = table.whole_folder
        self._start()

    def _start(self) -> None:
        self._lock = threading.RLock()  # of what is known: held for moments, as views ask for it
        self._reading = threading.RLock()  # one thread at a time reads files to find out more
        self._thumbnails: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        kept = dict(vars(self))
        del kept["_lock"], kept["_reading"], kept["_thumbnails"]
        return kept

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start()

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """The pictures of a folder (:func:`.listing.list_pictures`), numbered by their names.

        Raises
        ------
        ImageError
            There is no such folder, or no picture in it.
        """
        where = Path(folder).expanduser().absolute()
        listing = list_pictures(where)
        if not listing.pictures:
            raise ImageError(" ".join([f"{where} holds no pictures.", *listing.passed_over]))
        key = hashlib.sha256(os.fsencode(where.resolve())).hexdigest()[:16]
        entries = tuple(
            _entry(number, picture) for number, picture in enumerate(listing.pictures, 1)
        )
        return cls(PictureTable(key, str(where), entries), where, listing.passed_over)

    @classmethod
    def of_files(cls, files: Sequence[Path]) -> Self:
        """These files, in this order; none of them is opened.

        Raises
        ------
        ImageError
            There is not one.
        """
        if not files:
            raise ImageError("There are no pictures.")
        paths = [path.expanduser().absolute() for path in files]
        try:
            folder = Path(os.path.commonpath([path.parent for path in paths]))
        except ValueError:  # on several drives
            folder = paths[0].parent
        names = [_relative_name(path, folder) for path in paths]
        digest = hashlib.sha256(b"\0".join(os.fsencode(path) for path in paths))
        entries = tuple(
            PictureEntry(number, name, group=patient_of(name))
            for number, name in enumerate(names, 1)
        )
        key = digest.hexdigest()[:16]
        return cls(PictureTable(key, str(folder), entries, whole_folder=False), folder)

    @classmethod
    def load(cls, path: Path, folder: str | Path | None = None) -> Self:
        """The collection that :meth:`save` kept, with the changes of its folder since.

        Parameters
        ----------
        folder
            Where the pictures are now; ``None``: where they were.

        Raises
        ------
        ProjectError
            The table is damaged.
        """
        table = read_picture_table(path)
        where = Path(table.folder) if folder is None else Path(folder).expanduser().absolute()
        pictures = cls(table, where)
        pictures.rescan()
        return pictures

    def save(self, path: Path) -> None:
        """Keep numbers, names, classes and what is known of the contents.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        with self._lock:
            table = PictureTable(
                self.key,
                str(self.folder),
                tuple(self._entries.values()),
                self._modality,
                self._context,
                self._depths,
                self._whole_folder,
            )
        write_picture_table(path, table)

    # --- names and numbers -------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """``(n,)`` the numbers, ascending; missing pictures included."""
        with self._lock:
            return np.fromiter(self._entries, dtype=np.int64, count=len(self._entries))

    @property
    def names(self) -> tuple[str, ...]:
        """Paths from the folder, in the order of the numbers."""
        with self._lock:
            return tuple(entry.name for entry in self._entries.values())

    @property
    def missing(self) -> frozenset[int]:
        """Numbers of the pictures that are not there now."""
        with self._lock:
            return frozenset(self._missing)

    def entry(self, number: int) -> PictureEntry:
        """What is known of a picture.

        Raises
        ------
        CellsError
            There is none of this number.
        """
        try:
            return self._entries[int(number)]
        except KeyError as error:
            raise CellsError(f"There is no picture {number} in {self.folder}.") from error

    def path(self, number: int) -> Path:
        """The file of a picture."""
        return self.folder / self.entry(number).name

    def annotations(self) -> dict[int, str]:
        """Class name of each picture that has one, by its folder or a table."""
        return {entry.number: entry.label for entry in self._entries.values() if entry.label}

    def groups(self) -> dict[int, str]:
        """Patient or slide of each picture where it is known."""
        return {entry.number: entry.group for entry in self._entries.values() if entry.group}

    def apply_labels(self, table: LabelTable) -> MatchedLabels:
        """Take over classes, groups and parts of a table; its word counts before the folder's.

        Raises
        ------
        ImageError
            Two rows give one picture different classes.
        """
        matched = match_labels(table, self.names, self.numbers.tolist())
        with self._lock:
            for number, row in matched.rows.items():
                entry = self._entries[number]
                self._entries[number] = replace(
                    entry,
                    label=row.label or entry.label,
                    group=row.group or entry.group,
                    part=row.part or entry.part,
                )
        return matched

    def rescan(self) -> PictureChanges:
        """Look at the folder again: new files get new numbers, missing ones keep theirs.

        A file of another name with the content of a missing one is that one, moved. A folder that
        is not there makes all its pictures missing. Files that were given one by one are only
        looked for.
        """
        with self._reading:
            return self._rescan(self._list() if self._whole_folder else None)

    def _rescan(self, listing: PictureListing | None) -> PictureChanges:
        listed = {} if listing is None else {picture.name: picture for picture in listing.pictures}
        entries = list(self._entries.values())
        gone = {
            entry.number
            for entry in entries
            if entry.name not in listed and not (self.folder / entry.name).is_file()
        }
        known = {entry.name for entry in entries}
        new = [picture for name, picture in listed.items() if name not in known]
        lost: dict[str, int] = {}
        for number in sorted(gone, reverse=True):
            if self._entries[number].digest:
                lost[self._entries[number].digest] = number
        sizes = {self._entries[number].size for number in lost.values()}
        digests = {picture.name: self._digest_if_sized(picture.name, sizes) for picture in new}
        with self._lock:
            if listing is not None:
                self.passed_over = listing.passed_over
            back, missing = sorted(self._missing - gone), sorted(gone - self._missing)
            moved, added = self._number_new(new, digests, lost)
            self._missing = gone - set(moved)
        changed = self._changed()
        with self._lock:
            for number in (*back, *moved, *changed):
                self._forget(number)
        missing = [number for number in missing if number not in moved]
        return PictureChanges(*(tuple(part) for part in (added, missing, back, moved, changed)))

    def _number_new(
        self, new: Sequence[ListedPicture], digests: Mapping[str, str], lost: dict[str, int]
    ) -> tuple[list[int], list[int]]:
        """Give numbers to new files; return those of moved pictures, and of new ones.

        Parameters
        ----------
        digests, lost
            The digest of each new file by its name, where it may be a moved one; the number of
            each picture that is gone, by its digest.
        """
        moved, added = list[int](), list[int]()
        following = max(self._entries, default=0) + 1
        for picture in new:
            digest = digests[picture.name]
            if digest not in lost:
                number, following = following, following + 1
                self._entries[number] = _entry(number, picture)
                added.append(number)
                continue
            number = lost.pop(digest)
            entry = self._entries[number]
            self._entries[number] = replace(
                entry, name=picture.name, label=picture.label or entry.label
            )
            moved.append(number)
        return moved, added

    def _digest_if_sized(self, name: str, sizes: set[int]) -> str:
        """The digest of a file that has one of these sizes, else empty."""
        path = self.folder / name
        try:
            if path.stat().st_size not in sizes:
                return ""
            return content_digest(path).hex()
        except OSError:
            return ""

    def _changed(self) -> list[int]:
        """The pictures whose content is another one than it was when it was read."""
        changed = []
        for entry in list(self._entries.values()):
            if entry.digest and entry.number not in self._missing:
                digest = self._digest(entry.number)
                if digest is not None and digest.hex() != entry.digest:
                    changed.append(entry.number)
        return changed

    def _list(self) -> PictureListing | None:
        try:
            return list_pictures(self.folder)
        except ImageError:
            return None

    def _forget(self, number: int) -> None:
        self.unreadable.pop(number, None)
        for known in [known for known in self._thumbnails if known[0] == number]:
            del self._thumbnails[known]

    # --- what the pictures show --------------------------------------------------------------

    @property
    def depths(self) -> tuple[BitDepth, ...]:
        """One bit depth, of each offset, for all pictures whose files do not state theirs."""
        if self._depths is not None:
            return self._depths
        with self._reading:
            if self._depths is None:
                self._depths = guess_run_depths(self._some_paths(DEPTH_SAMPLE))
            return self._depths

    @property
    def modality(self) -> Modality:
        """Colours or temperatures, as the first picture that can be read."""
        if self._modality is not None:
            return self._modality
        with self._reading:
            if self._modality is None:
                for path in self._some_paths(TRIES):
                    try:
                        pixels = picture_pixels(path, self.depths)
                    except ImageError:
                        continue
                    self._modality = "temperature" if pixels.ndim == 2 else "colour"
                    break
            return self._modality or "colour"

    @property
    def context(self) -> float:
        """The picture's longer side divided by the extent of its cell, median of a sample.

        1.0 where the pictures are cut tightly, and of thermograms.
        """
        if self._context is not None:
            return self._context
        with self._reading:
            if self._context is None:
                context = 1.0
                if self.modality == "colour":
                    read = partial(_colours_or_none, depths=self.depths)  # no lock in threads
                    opened = in_threads(read, self._some_paths(SAMPLE))
                    sample = (pixels for pixels in opened if pixels is not None)
                    context = round(estimate_context(sample), 4)
                self._context = context
            return self._context

    @context.setter
    def context(self, value: float) -> None:
        with self._lock:
            self._context = float(value)

    @property
    def learned_from(self) -> LearnedFrom:
        """What a model of these pictures learns from."""
        sizes = [max(picture_size(path)) for path in self._some_paths(SAMPLE)]
        known = [side for side in sizes if side]
        context = self.context if self.modality == "colour" else None
        side = int(np.median(known)) if known else None
        return LearnedFrom("pictures", None, context, side, self.modality)

    def framing(self, spec: CropSpec) -> float:
        """Side of the square that crops take, divided by the picture's longer side."""
        return 1.0 if self.modality == "temperature" else spec.context / self.context

    def pixels(self, number: int) -> NDArray[Any]:
        """``(rows, cols, 3)`` uint8 colours, or ``(rows, cols)`` float32 °C, of a picture.

        Raises
        ------
        ImageError
            It is missing, cannot be read, or shows degrees where the others show colours.
        """
        path = self.path(number)
        try:
            pixels = picture_pixels(path, self.depths)
            self._check_modality(path, pixels)
        except ImageError as error:
            self._note(number, path, str(error))
            raise
        return pixels

    def crops(
        self, numbers: Iterable[int], spec: CropSpec, *, framing: float | None = None
    ) -> NDArray[Any]:
        """``(n, size, size, 3)`` crops: uint8 of colours, float32 of degrees.

        The picture is the cell: its centred square with the margin of `spec` around a cell of
        typical size. A picture that cannot be read is grey, and said in :attr:`unreadable`.

        Parameters
        ----------
        framing
            Side of the square, divided by the picture's longer side; :meth:`framing` if not given.
        """
        wanted = [int(number) for number in numbers]
        kind = np.float32 if self.modality == "temperature" else np.uint8
        part = self.framing(spec) if framing is None else framing
        crops = np.full((len(wanted), spec.size, spec.size, 3), GREY, dtype=kind)
        cut = partial(self.crop_or_none, spec=spec, framing=part)
        for index, crop in enumerate(in_threads(cut, wanted)):
            if crop is not None:
                crops[index] = crop
        return crops

    def crop_or_none(self, number: int, spec: CropSpec, framing: float) -> NDArray[Any] | None:
        """``(size, size, 3)`` crop of one picture, ``None`` where it cannot be read."""
        try:
            return from_picture(self.pixels(number), spec, framing=framing)
        except ImageError:
            return None

    def thumbnail(self, number: int, side: int) -> NDArray[np.uint8]:
        """``(side, side, 3)`` the whole picture, bars beside it; grey where it cannot be read."""
        known = (int(number), side)
        with self._lock:
            if known in self._thumbnails:
                self._thumbnails.move_to_end(known)
                return self._thumbnails[known]
        thumbnail = self._read_thumbnail(int(number), side)
        with self._lock:
            self._thumbnails[known] = thumbnail
            while len(self._thumbnails) * thumbnail.nbytes > THUMBNAIL_BYTES:
                self._thumbnails.popitem(last=False)
        return thumbnail

    def known_thumbnail(self, number: int, side: int) -> NDArray[np.uint8] | None:
        """:meth:`thumbnail` where it was read lately, ``None`` otherwise; no file is opened."""
        with self._lock:
            return self._thumbnails.get((int(number), side))

    def thumbnails(self, numbers: Iterable[int], side: int) -> NDArray[np.uint8]:
        """``(n, side, side, 3)`` uint8: :meth:`thumbnail` of several, read in threads."""
        wanted = [int(number) for number in numbers]
        small = np.empty((len(wanted), side, side, 3), np.uint8)
        for index, thumbnail in enumerate(in_threads(lambda n: self.thumbnail(n, side), wanted)):
            small[index] = thumbnail
        return small

    def digests(self, numbers: Iterable[int]) -> NDArray[np.int64]:
        """``(n, 4)`` SHA-256 of the files as the embedding cache keeps them; 0 where missing.

        A file is read again only where its size or time of change is another one.
        """
        wanted = [int(number) for number in numbers]
        rows = np.zeros((len(wanted), 4), dtype=np.int64)
        for index, digest in enumerate(in_threads(self._digest, wanted)):
            if digest is not None:
                rows[index] = digest_row(digest)
        return rows

    def _digest(self, number: int) -> bytes | None:
        entry = self.entry(number)
        path = self.folder / entry.name
        try:
            about = path.stat()
            if entry.digest and (about.st_size, about.st_mtime_ns) == (entry.size, entry.mtime_ns):
                return bytes.fromhex(entry.digest)
            digest = content_digest(path)
        except OSError as error:
            if not path.exists():
                with self._lock:
                    self._missing.add(number)
            self._note(number, path, f"{path.name} cannot be read ({error.strerror}).")
            return None
        with self._lock:
            self._entries[number] = replace(
                self._entries[number],
                size=about.st_size,
                mtime_ns=about.st_mtime_ns,
                digest=digest.hex(),
            )
        return digest

    def _read_thumbnail(self, number: int, side: int) -> NDArray[np.uint8]:
        path = self.path(number)
        degrees = self.modality == "temperature"
        try:
            return read_thumbnail(path, side, self.depths, degrees=degrees)
        except ImageError as error:
            self._note(number, path, str(error))
            return np.full((side, side, 3), GREY, np.uint8)

    def _check_modality(self, path: Path, pixels: NDArray[Any]) -> None:
        """Refuse a thermogram among colour pictures, and the reverse."""
        kinds = ("a colour picture", "thermograms"), ("a thermogram", "colour pictures")
        if (pixels.ndim == 2) != (self.modality == "temperature"):
            raise ImageError(MIXED.format(path.name, *kinds[pixels.ndim == 2]))

    def _some_paths(self, count: int) -> list[Path]:
        """Paths of at most so many pictures, spread evenly."""
        numbers = [number for number in self._entries if number not in self._missing]
        return [self.path(number) for number in numbers[:: -(-len(numbers) // count) or 1]]

    def _note(self, number: int, path: Path, sentence: str) -> None:
        with self._lock:
            if number in self._missing or not path.exists():
                self._missing.add(number)
                sentence = f"There is no file {path}."
            self.unreadable[number] = sentence


def _entry(number: int, listed: ListedPicture) -> PictureEntry:
    return PictureEntry(number, listed.name, listed.label, listed.group, listed.part)


def _colours_or_none(path: Path, depths: tuple[BitDepth, ...]) -> NDArray[np.uint8] | None:
    try:
        pixels = picture_pixels(path, depths)
    except ImageError:
        return None
    return pixels if pixels.ndim == 3 else None


def _relative_name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
