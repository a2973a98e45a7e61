"""The head of a siamese network on vectors that are there already, without torch.

A network whose base was not trained further compares the base's own vectors, so its likeness
needs no cell embedded anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_hemacells.core.errors import EncoderError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HEAD, BODY = "head.", "body."
_NAMES = (
    "centre",
    "scale",
    "layers.1.weight",
    "layers.1.bias",
    "layers.3.weight",
    "layers.3.bias",
)


class HeadWeights(NamedTuple):
    """Weights of :class:`~napari_hemacells.core.encode.siamese_network.SiameseHead`."""

    centre: NDArray[np.float32]
    scale: NDArray[np.float32]
    first: NDArray[np.float32]
    first_bias: NDArray[np.float32]
    last: NDArray[np.float32]
    last_bias: NDArray[np.float32]

    def apply(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """``(n, k)`` float32 of ``(n, dim)`` vectors of the base, not yet of unit length."""
        from scipy.special import erf

        rows = (np.asarray(vectors, dtype=np.float32) - self.centre) * self.scale
        rows = rows @ self.first.T + self.first_bias
        rows = 0.5 * rows * (1 + erf(rows / np.float32(np.sqrt(2))))  # GELU
        return np.asarray(rows @ self.last.T + self.last_bias, dtype=np.float32)


def read_head_weights(file: Path) -> HeadWeights | None:
    """Return the head of a siamese network; ``None`` where its base was trained too, or has none.

    Raises
    ------
    EncoderError
        The file is damaged, or its head is of other widths.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as stored:
            names = set(stored.keys())
            if any(name.startswith(BODY) for name in names) or f"{HEAD}centre" not in names:
                return None
            head = HeadWeights(*(stored.get_tensor(f"{HEAD}{name}") for name in _NAMES))
        head.apply(np.zeros((1, len(head.centre)), dtype=np.float32))
    except (OSError, SafetensorError, TypeError, ValueError) as error:
        raise EncoderError(f"The weights in {file} do not fit their network.") from error
    return head
