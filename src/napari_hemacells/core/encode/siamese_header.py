"""What the file of a siamese network says of itself, read without torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.encode.weights_header import (
    WrongFormatError,
    read_header_values,
    write_header,
)
from napari_hemacells.core.errors import EncoderError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT, VERSION = "napari-hemacells siamese network", 1


@dataclass(frozen=True)
class SiameseHeader:
    """What the header of a siamese network's file says.

    Attributes
    ----------
    base
        Name of the encoder under the head; empty for the thesis' network.
    base_sha256
        Hash of its weights.
    kinds
        Kinds of cells that it was trained on.
    cells
        Their number.
    seen
        All that the weights have seen, in words.
    date
        Of creation, ISO 8601, UTC.
    training
        Parameters of the training.
    """

    base: str
    base_sha256: str
    kinds: tuple[str, ...]
    cells: int
    seen: str
    date: str
    training: dict[str, Any]

    def to_metadata(self) -> dict[str, str]:
        """As the header of a safetensors file."""
        return write_header(FORMAT, VERSION, {**asdict(self), "kinds": list(self.kinds)})


def read_siamese_header(file: Path) -> SiameseHeader:
    """Return the header of a siamese network's file, without torch.

    Raises
    ------
    EncoderError
        The file is missing, damaged, or of another kind.
    """
    try:
        about = read_header_values(file, FORMAT, VERSION)
        return _header_of(about)
    except WrongFormatError as error:
        raise EncoderError(
            f"{file} is no siamese network of this version: choose another."
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise EncoderError(
            f"{file} is missing, damaged or no siamese network: choose another file, or train "
            "one with hemacells train siamese."
        ) from error


def _header_of(about: dict[str, Any]) -> SiameseHeader:
    """Return the header; raises TypeError or KeyError for something else."""
    words = [about[name] for name in ("base", "base_sha256", "seen", "date")]
    if not all(isinstance(text, str) for text in words):
        raise TypeError("a text is needed")
    return SiameseHeader(**{**about, "kinds": tuple(about["kinds"])})
