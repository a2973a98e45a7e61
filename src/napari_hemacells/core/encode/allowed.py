"""Which encoders of others a received model or project may make this program fetch or read.

A bundle or a project that came from elsewhere names its encoder. One that is part of the package,
that timm lists and whose weights are here, or that was trained here is used without a question.
Any other, a model of a hub or a file of this computer, must have been chosen once by the user.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from napari_hemacells.core import encoder_names
from napari_hemacells.core.encode import timm_files, weights_store
from napari_hemacells.core.encode.foundation import DINOBLOOM, REDDINO
from napari_hemacells.core.errors import EncoderNotAllowedError, StorageError
from napari_hemacells.core.files.fsio import read_bytes, write_bytes

FILE_NAME = "allowed.txt"  # a name a line
_LIMIT = 2**20
_CHOSEN: set[str] = set()  # in this process


def check_allowed(name: str) -> None:
    """Refuse an encoder that a received file names and that nobody here chose.

    Raises
    ------
    EncoderNotAllowedError
        With what would be fetched or read, and how to allow it.
    """
    source = outside_source(name)
    if source and name not in _allowed_names():
        raise EncoderNotAllowedError(
            f"This model or project was made with the encoder {name}: {source}. If you trust "
            "where it comes from, choose that encoder yourself (under Classify, or with "
            f"--encoder {name}), then open it again.",
            encoder=name,
            source=source,
        )


def allow(name: str) -> None:
    """Remember that the user chose this encoder; where that cannot be written, until the end."""
    known = _allowed_names()
    if not outside_source(name) or name in known:
        return
    _CHOSEN.add(name)
    with suppress(StorageError):
        write_bytes(_file(), "".join(f"{each}\n" for each in (*known, name)).encode())


def outside_source(name: str) -> str:
    """Return what would be fetched or read for this encoder, in words; empty where nothing is.

    Examples
    --------
    >>> outside_source("bundled")
    ''
    >>> outside_source("timm:hf_hub:someone/model")
    "someone's model of a hub, which would be fetched"
    """
    kind, _, rest = name.partition(":")
    body = rest.partition("?")[0]
    if kind in REDDINO:
        body, kind = REDDINO[kind], encoder_names.TIMM
    if kind == encoder_names.TIMM:
        return _outside_timm(body)
    files = (encoder_names.FILE, encoder_names.ADAPTED, encoder_names.SIAMESE, *DINOBLOOM)
    if kind in files and body:
        inside = Path(body).expanduser().absolute().parent == weights_store.weights_folder()
        return "" if inside else f"the file {body} of this computer would be read"
    return ""


def _outside_timm(model: str) -> str:
    import timm

    if model.startswith("local-dir:"):
        return f"the folder {model.removeprefix('local-dir:')} of this computer would be read"
    if ":" in model:
        owner = model.partition(":")[2].partition("/")[0]
        return f"{owner}'s model of a hub, which would be fetched"
    known = timm.get_pretrained_cfg(model) if timm.is_model(model) else None
    if known is None:
        return ""
    here = timm_files.find_file(known)
    return "" if here else "its weights are not on this computer and would be fetched"


def _file() -> Path:
    return weights_store.weights_folder() / FILE_NAME


def _allowed_names() -> tuple[str, ...]:
    file = _file()
    if not file.is_file():
        return tuple(_CHOSEN)
    return (*_CHOSEN, *read_bytes(file, _LIMIT).decode(errors="replace").splitlines())
