"""Where a fine-tuned network looked at one cell of an image. Imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_hemacells.core.crop import CropSquare, crop_square, extract_crops, to_bytes
from napari_hemacells.core.train.classifier.gradcam import gradcam_maps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.classify import Head
    from napari_hemacells.core.encode.protocol import Encoder
    from napari_hemacells.core.types import Cells, CropSpec, SmearImage


class CellHeat(NamedTuple):
    """The heat of a cell's crop, and where the crop lies in the image.

    Attributes
    ----------
    heat
        ``(size, size)`` float32, 0 to 1: what spoke for the class.
    """

    heat: NDArray[np.float32]
    square: CropSquare


def heat_of_cell(
    encoder: Encoder,
    head: Head,
    spec: CropSpec,
    *,
    image: SmearImage,
    cells: Cells,
    cell: int,
    class_id: str,
) -> CellHeat:
    """Return where the network looked for this class at this cell.

    Parameters
    ----------
    encoder, head, spec
        Those of a fine-tuned bundle.
    class_id
        One of ``head.class_ids``.

    Raises
    ------
    TrainingError
        pytorch-grad-cam is not installed.
    BundleError
        The model is no network with a linear head.
    CellsError
        An id that is not among the cells.
    """
    crops = to_bytes(extract_crops(image, cells, spec, [cell]))
    class_index = np.array([head.class_ids.index(class_id)], dtype=np.int64)
    heat = gradcam_maps(encoder, head, crops, class_index)[0]
    return CellHeat(heat, crop_square(image, cells, spec, cell))
