"""Opening a TIFF so that a damaged one is refused before it is read for hours or fills memory."""

from __future__ import annotations

import struct
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.files.safe_files import open_stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def open_pages(file: Path) -> Iterator[Any]:
    """Open a TIFF with tifffile, once its pages are known to come to an end.

    Raises
    ------
    ImageError
        The pages name one another in a circle, or one states a negative size: they would be read
        for hours.
    StorageError
        A pipe or a device.
    """
    import tifffile

    with open_stream(file, follow=True) as stream:
        _check_chain(stream)
    with tifffile.TiffFile(file) as tiff:
        check_pages(tiff)
        yield tiff


def _check_chain(stream: IO[bytes]) -> None:
    start = stream.read(16)
    order = "<" if start[:2] == b"II" else ">"
    big = start[2:4] in {b"+\0", b"\0+"}
    count_format, entry, next_format = (
        (order + "Q", 20, order + "Q") if big else (order + "H", 12, order + "I")
    )
    (offset,) = struct.unpack_from(next_format, start, 8 if big else 4)
    seen: set[int] = set()
    while offset:
        if offset in seen:
            raise ImageError(
                "The pages of the TIFF go round in a circle: it is damaged. Export it again."
            )
        seen.add(offset)
        try:
            stream.seek(offset)
            (count,) = struct.unpack(count_format, stream.read(struct.calcsize(count_format)))
            stream.seek(count * entry, 1)
            (offset,) = struct.unpack(next_format, stream.read(struct.calcsize(next_format)))
        except (struct.error, OSError, OverflowError):
            return  # the end of the file: tifffile says it


def check_pages(tiff: Any) -> None:
    """Refuse a TIFF with a page of a negative size; call it before its series are looked for.

    tifffile would count such pages backwards for ever, where it wrote the file itself ("shaped").

    Raises
    ------
    ImageError
        A page or a reduced copy of it states such a size.
    """
    import tifffile

    pages = list(tiff.pages) if tiff.is_shaped else [tiff.pages.first]
    for page in tuple(pages):
        for sub_index, offset in enumerate(page.subifds or ()):
            with suppress(Exception):  # tifffile leaves out what it cannot read
                tiff.filehandle.seek(offset)
                pages.append(tifffile.TiffPage(tiff, (page.index, sub_index)))
    if any(page.imagewidth < 0 or page.imagelength < 0 for page in pages):
        raise ImageError("The file states a size that no picture has. Export it again.")


def check_segments(page: Any, size: int) -> None:
    """Refuse a page of a TIFF with a strip or tile larger than its file, before room is made.

    Raises
    ------
    ImageError
        The file was cut short, or its header is damaged.
    """
    if any(count > size for count in page.databytecounts):
        raise ImageError(
            f"The header speaks of more bytes than the file's {size:,}: it was cut short or is "
            "damaged. Copy or export it again."
        )
