"""The support set: the annotated cells that a head is fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import AnnotationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Support:
    """Annotated cells: one row each, of this image, of others, or of a loaded model.

    Attributes
    ----------
    vectors
        ``(m, dim)`` float32, as the encoder gave them.
    labels
        ``(m,)`` class ids.
    """

    vectors: NDArray[np.float32]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.labels):
            raise AnnotationError(
                f"One vector for each of the {len(self.labels)} annotations is needed, "
                f"got an array of shape {self.vectors.shape}."
            )

    def __len__(self) -> int:
        return len(self.labels)
