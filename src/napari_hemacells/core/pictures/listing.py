"""Which files of a folder are pictures of cells, and what their folders say of them."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.files.own_files import is_hidden, is_own_result
from napari_hemacells.core.image.files import is_temperature
from napari_hemacells.core.temperature import (
    TEXT_SUFFIXES,
    normalise_patient_id,
    parse_dmr_ir_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".jp2", ".bmp", ".dib", ".tif", ".tiff", ".gif",
     ".webp", ".ppm", ".pgm"}
)  # fmt: skip
# Pictures too, which reading may refuse by name; they are not passed over.
OTHER_PICTURES = frozenset(
    {".heic", ".heif", ".avif", ".jxl", ".svg", ".psd", ".dcm", ".czi", ".nd2", ".lif", ".svs",
     ".ndpi", ".mrxs", ".scn", ".vsi", ".eps", ".tga", ".dng", ".nef", ".cr2", ".arw"}
)  # fmt: skip
PARTS = frozenset(
    {"train", "training", "validation", "valid", "val", "test", "testing", "holdout", "held-out"}
)
PROJECT_FILE = "project.json"
_LOOKED_INTO = TEXT_SUFFIXES | {".npy"}  # temperatures, or anything else
_KINDS_NAMED = 4  # of files that are passed over


@dataclass(frozen=True)
class ListedPicture:
    """A picture file and what its place says of it.

    Attributes
    ----------
    name
        Path from the folder, with ``/``.
    label
        Name of its class folder; empty where it lies in the folder itself.
    group
        Patient of a thermogram's name; empty where unknown.
    part
        Folder of a data set that it lies in, such as ``train``; empty without one.
    """

    name: str
    label: str = ""
    group: str = ""
    part: str = ""


@dataclass(frozen=True)
class PictureListing:
    """The pictures of a folder, by name, and sentences about what else lies there."""

    pictures: tuple[ListedPicture, ...]
    passed_over: tuple[str, ...] = ()


def list_pictures(folder: Path) -> PictureListing:
    """Return the picture files of a folder, at any depth; none of them is opened.

    Sub-folders are classes: the first one on the way to a picture gives its class, below folders
    that are all named as parts of a data set (``train``, ``test``…) the second one. Hidden files,
    results of this program and the folders of its projects are passed over; so is what is no
    picture, which is told. Of texts and numpy files the beginning is read: temperatures or not.

    Raises
    ------
    ImageError
        There is no such folder, or one in it cannot be read.
    """
    if not folder.is_dir():
        raise ImageError(f"There is no folder {folder}.")
    names, others = list[str](), Counter[str]()
    for path in _files_below(folder):
        if _is_picture(path):
            names.append(path.relative_to(folder).as_posix())
        else:
            others[path.suffix.lower() or path.name] += 1
    names.sort()
    tops = {name.split("/", 1)[0] for name in names if "/" in name}
    deep = all(name.count("/") >= 2 for name in names)
    in_parts = bool(tops) and deep and all(top.casefold() in PARTS for top in tops)
    pictures = tuple(_described(name, in_parts=in_parts) for name in names)
    return PictureListing(pictures, _passed_over(others))


def patient_of(name: str) -> str:
    """Return the patient of a thermogram's name, ``""`` for a name of another kind."""
    frame = parse_dmr_ir_name(name.rsplit("/", 1)[-1])
    return "" if frame is None else f"patient {normalise_patient_id(frame.patient)}"


def _described(name: str, *, in_parts: bool) -> ListedPicture:
    *folders, _ = name.split("/")
    part = folders.pop(0).casefold() if in_parts else ""
    return ListedPicture(name, folders[0] if folders else "", patient_of(name), part)


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of those in it, links to folders followed once."""
    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, onerror=_raise_unreadable, followlinks=True):
        here = Path(parent)
        about = here.stat()
        if (about.st_dev, about.st_ino) in seen or (PROJECT_FILE in files and here != folder):
            folders.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        folders[:] = sorted(
            name for name in folders if not is_hidden(Path(name)) and not _is_zarr(name)
        )
        for name in files:
            path = here / name
            if not is_hidden(path) and not is_own_result(path):
                yield path


def _is_zarr(name: str) -> bool:
    return name.lower().endswith(".zarr")


def _raise_unreadable(error: OSError) -> None:
    raise ImageError(f"{error.filename} cannot be read ({error.strerror}).") from error


def _is_picture(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in SUFFIXES | OTHER_PICTURES:
        return True
    return suffix in _LOOKED_INTO and is_temperature(path)


def _passed_over(others: Counter[str]) -> tuple[str, ...]:
    if not others:
        return ()
    kinds = [f"{count} {kind}" for kind, count in others.most_common(_KINDS_NAMED)]
    more = " and others" if len(others) > _KINDS_NAMED else ""
    total = others.total()
    files = "1 file is" if total == 1 else f"{total:,} files are"
    return (f"{files} no picture and left out ({', '.join(kinds)}{more}).",)
