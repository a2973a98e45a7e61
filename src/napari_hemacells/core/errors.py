"""The few error types that a front end reacts to.

The message of each is a sentence that a microscopist can act on; the technical cause is chained
with ``raise ... from``. Nothing else is caught by panels or by the command line.
"""

from __future__ import annotations


class HemaCellsError(Exception):
    """Something the user can put right; the message says how."""

    exit_code = 3


class ImageError(HemaCellsError):
    """An image that cannot be read, is empty, holds NaN, or is not the one it should be."""


class ThermogramError(ImageError):
    """A temperature matrix, or a table about some, that cannot be read or makes no sense."""


class CellsError(HemaCellsError):
    """A source of cells that does not fit the image, or holds none where some are needed."""


class AnnotationError(HemaCellsError):
    """An annotation that cannot be made: unknown class, unknown cell, too few classes."""


class EncoderError(HemaCellsError):
    """An encoder that is not available or that failed."""


class EncoderNotAllowedError(EncoderError):
    """An encoder that a received file names, and that nobody on this computer chose.

    Attributes
    ----------
    encoder, source
        Its name, and what would be fetched or read for it, in words.
    """

    def __init__(self, message: str, *, encoder: str = "", source: str = "") -> None:
        super().__init__(message)
        self.encoder, self.source = encoder, source


class TrainingError(HemaCellsError):
    """A training that could not start, or that ended before its time."""


class StorageError(HemaCellsError):
    """A folder or file that cannot be written or read; nothing that was saved is harmed."""

    exit_code = 5


class ProjectError(StorageError):
    """A project folder that cannot be opened as it is."""


class BundleError(HemaCellsError):
    """A model bundle that is damaged."""

    exit_code = 4


class BundleMismatchError(BundleError):
    """A model bundle that must not be used here: other encoder, other crops, other scale."""


class DownloadError(HemaCellsError):
    """A public sample that could not be fetched, mostly for want of a network."""
