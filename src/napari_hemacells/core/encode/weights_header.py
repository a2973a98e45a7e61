"""What the header of a file of weights made here says: its format and a JSON object about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class WrongFormatError(ValueError):
    """A whole file of weights, but of another format or a newer version."""


def write_header(name: str, version: int, about: dict[str, Any]) -> dict[str, str]:
    """Return the header of a safetensors file."""
    return {"format": name, "version": str(version), "about": json.dumps(about)}


def read_header_values(file: Path, name: str, version: int) -> dict[str, Any]:
    """Return what the header of a file says, without torch.

    Parameters
    ----------
    name, version
        Of the format; older versions are read too.

    Raises
    ------
    WrongFormatError
        It is of another format, or of a newer version.
    ValueError
        It is missing, damaged, or no file of weights.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as stored:
            header = stored.metadata() or {}
        about = json.loads(header["about"])
        fits = header["format"] == name and int(header["version"]) <= version
        about = dict(about)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{file} has no such header") from error
    if not fits:
        raise WrongFormatError(f"{file} is not of the format {name}, version {version}")
    return about
