"""OME-Zarr 0.4 and 0.5 (and plain zarr arrays): opened, not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.image.layout import Layout
from napari_hemacells.core.image.picture import MICROMETRES, OpenedPicture, plausible_pixel_size

if TYPE_CHECKING:
    from pathlib import Path

METADATA = ("zarr.json", ".zgroup", ".zarray")


def is_zarr(folder: Path) -> bool:
    """Whether a folder has the metadata of a zarr array or group."""
    return any((folder / name).is_file() for name in METADATA)


def open_zarr(folder: Path) -> OpenedPicture:
    """Return the first image of an OME-Zarr folder with its pyramid, or a zarr array.

    Raises
    ------
    ImageError
        No image in it, metadata that no version of OME-Zarr from 0.4 on has, or axes that do not
        make one picture.
    """
    import zarr

    node = zarr.open(folder, mode="r")
    if isinstance(node, zarr.Array):
        return OpenedPicture((node,))
    multiscale = _multiscale(node)
    if multiscale is None:
        return open_zarr(folder / _first_image(node, folder))
    levels: tuple[Any, ...] = tuple(node[dataset.path] for dataset in multiscale.datasets)
    names = [axis.name for axis in multiscale.axes]
    return OpenedPicture(
        levels, Layout.of_axes(levels[0].shape, names), plausible_pixel_size(_size(multiscale))
    )


def _multiscale(group: Any) -> Any | None:
    """Return the validated metadata of the group's image, ``None`` where it holds none."""
    attributes = dict(group.attrs)
    multiscales = attributes.get("ome", attributes).get("multiscales")
    if not multiscales:
        return None
    if "ome" in attributes:
        from ome_zarr_models.v05.multiscales import Multiscale
    else:
        from ome_zarr_models.v04.multiscales import Multiscale  # type: ignore[assignment]
    try:
        return Multiscale.model_validate(multiscales[0])
    except ValidationError as error:
        wrong = error.errors()[0]
        location = ".".join(map(str, wrong["loc"]))
        raise ImageError(
            f"The metadata is not that of OME-Zarr 0.4 or 0.5 ({location}: {wrong['msg']}): "
            "convert the image with a current tool."
        ) from error


def _first_image(group: Any, folder: Path) -> str:
    """Return where the first image is in a collection, as bioformats2raw writes them."""
    if "0" in group and _is_image(group["0"]):
        return "0"
    raise ImageError(
        f"{folder.name} is a zarr folder without an image of its own (no “multiscales” in its "
        "metadata): choose the folder of one image inside it."
    )


def _is_image(node: Any) -> bool:
    attributes = dict(node.attrs)
    return "multiscales" in attributes.get("ome", attributes)


def _size(multiscale: Any) -> float | None:
    """Micrometres a pixel of the finest level; ``None`` where rows and columns differ."""
    names = [axis.name for axis in multiscale.axes]
    steps = np.ones(len(names))
    for transform in (
        *multiscale.datasets[0].coordinateTransformations,
        *(multiscale.coordinateTransformations or ()),
    ):
        if transform.type == "scale":
            steps *= transform.scale
    sizes = []
    for name in ("y", "x"):
        index = names.index(name)
        unit = getattr(multiscale.axes[index], "unit", None)
        sizes.append(float(steps[index]) * MICROMETRES.get(str(unit), np.nan))
    return sizes[0] if np.isclose(sizes[0], sizes[1], rtol=0.01) else None
