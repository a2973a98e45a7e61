"""How much the page takes at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of one server.

    Attributes
    ----------
    picture_bytes
        Of an uploaded file.
    pictures
        On the page at a time, and rows of a table to download.
    waiting
        Requests that may wait or be read at a time; others are told to come again.
    reading
        Pictures whose bytes are read or held at a time; it bounds the memory.
    seconds
        In which the bytes of one request have to arrive.
    """

    picture_bytes: int = 32 * 2**20
    pictures: int = 500
    waiting: int = 256
    reading: int = 4
    seconds: float = 60.0

    @property
    def table_bytes(self) -> int:
        """Of the rows that the page sends for a table."""
        return 4 * 2**20


FORM_BYTES = 64 * 1024  # around a file in a form: its name, the model, the boundaries
MAX_NAME = 200  # characters of a file's name
