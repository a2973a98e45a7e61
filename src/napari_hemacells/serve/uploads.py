"""From the bytes of a request to a picture, within bounds; nothing stays on the disk."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from napari_hemacells.core.files.fsio import file_name
from napari_hemacells.serve.limits import FORM_BYTES, MAX_NAME

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request

    from napari_hemacells.core.types import Pixels, SmearImage
    from napari_hemacells.serve.limits import Limits


class _MemoryParser(MultiPartParser):
    """Keeps the file in memory: what is larger than the bound is never read whole."""

    spool_max_size = 2**31


@dataclass(frozen=True)
class Upload:
    """A picture as it was sent, and the model that is asked."""

    name: str
    data: bytes
    model: str


async def read_body(request: Request, most: int, limits: Limits) -> bytes:
    """Return the body of a request.

    Raises
    ------
    HTTPException
        413 if it is larger than `most` bytes, before more of it is read; 408 if it takes too long.
    """
    parts = [part async for part in _bounded(request, most, limits)]
    return b"".join(parts)


async def read_upload(request: Request, limits: Limits) -> Upload:
    """Return the one picture of a form with the fields ``picture`` and ``model``.

    Raises
    ------
    HTTPException
        413 if it is too large, 408 if it takes too long, 400 if the form is another one.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise HTTPException(400, "The picture has to be sent as a form.")
    most = limits.picture_bytes + FORM_BYTES
    stream = _bounded(request, most, limits)
    parser = _MemoryParser(
        request.headers, stream, max_files=1, max_fields=4, max_part_size=FORM_BYTES
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, f"The form cannot be read: {error.message}") from error
    except (KeyError, ValueError, UnicodeError) as error:
        raise HTTPException(400, "The form cannot be read.") from error
    try:
        return await _picture_of(form, limits)
    finally:
        await form.close()


async def _picture_of(form: Any, limits: Limits) -> Upload:
    picture, model = form.get("picture"), form.get("model", "")
    if not isinstance(picture, UploadFile) or not isinstance(model, str):
        raise HTTPException(400, "The form has no picture: choose a file.")
    if (picture.size or 0) > limits.picture_bytes:
        raise too_large(limits)
    return Upload((picture.filename or "picture")[:MAX_NAME], await picture.read(), model)


def too_large(limits: Limits) -> HTTPException:
    """Return the answer to a file that is too large."""
    megabytes = limits.picture_bytes / 2**20
    return HTTPException(
        413,
        f"The file is larger than {megabytes:g} MB, more than this page takes. Cut the cell out "
        "of it, or use hemacells classify.",
    )


async def _bounded(request: Request, most: int, limits: Limits) -> AsyncGenerator[bytes, None]:
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > most:
        raise too_large(limits)
    size = 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise too_large(limits)
                yield part
    except TimeoutError as error:
        raise HTTPException(408, "The picture took too long to arrive. Send it again.") from error
    except ClientDisconnect as error:
        raise HTTPException(400, "The page was closed while it sent the picture.") from error


def read_picture(upload: Upload) -> SmearImage:
    """Return the picture, decoded by the same reader and within the same bounds as any file.

    It lies on the disk, in a folder that only this user may open, while it is decoded.

    Raises
    ------
    ImageError
        It is no picture, damaged or too large.
    """
    from dataclasses import replace

    import numpy as np

    from napari_hemacells.core.errors import ImageError
    from napari_hemacells.core.image import read_image

    name = safe_name(upload.name)
    with tempfile.TemporaryDirectory(prefix="hemacells-serve-") as folder:
        file = Path(folder) / name
        file.write_bytes(upload.data)
        image = read_image(file)
        if image.is_lazy:
            rows, cols = image.shape
            raise ImageError(
                f"{name} has {cols:,} × {rows:,} pixels and is no picture of one cell: use "
                "hemacells classify, which finds the cells in it."
            )
        pixels = cast("Pixels", np.array(image.pixels))
        return replace(image, pixels=pixels, overview=None, path=None)


def safe_name(name: str) -> str:
    r"""Return the name of an uploaded file without folders, as any file system takes it.

    Examples
    --------
    >>> safe_name("../../etc/passwd"), safe_name(r"C:\cells\a.png"), safe_name("")
    ('passwd', 'a.png', 'picture')
    """
    last = PurePosixPath(name.replace("\\", "/")).name
    stem, dot, suffix = last.rpartition(".")
    if not dot or len(suffix) > 8:
        stem, suffix = last, ""
    stem = file_name(stem[:80]) if stem.strip(". ") else "picture"
    return f"{stem}.{suffix}" if suffix.isalnum() else stem
