"""The encoder protocol: crops in, vectors out, and an identity."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_hemacells.core.types import EncoderInfo


@runtime_checkable
class Encoder(Protocol):
    """A frozen function from crops to vectors.

    The bundled network, any timm model or a local checkpoint. Equal `info` must mean equal
    vectors.
    """

    @property
    def info(self) -> EncoderInfo:
        """Name, hash of the weights, dimension, preprocessing and training data."""

    @property
    def device(self) -> str:
        """The device: ``cpu``, ``cuda``, ``mps``."""

    def encode(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``(n, dim)`` vectors of ``(n, size, size, 3)`` uint8 colour crops; n may be 0."""


def fingerprint(info: EncoderInfo) -> str:
    """A hash (16 hexadecimal digits) of weights, preprocessing and name."""
    identity = [info.name, info.sha256, info.dim, info.preprocessing]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
