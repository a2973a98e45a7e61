"""OME-Zarr 0.4 and 0.5 (and plain zarr arrays): opened, not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.image.layout import WHOLE_PICTURE, Layout
from napari_hemacells.core.image.picture import OpenedPicture
from napari_hemacells.core.image.pixel_size import PixelSize, pixel_size
from napari_hemacells.core.image.zarr_door import METADATA, check_array, inside

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.core.image.plane_selection import PlaneSelection


def is_zarr(folder: Path) -> bool:
    """Whether a folder has the metadata of a zarr array or group."""
    return any((folder / name).is_file() for name in METADATA)


def open_zarr(folder: Path, selection: PlaneSelection = WHOLE_PICTURE) -> OpenedPicture:
    """Return the first image of an OME-Zarr folder with its pyramid, or a zarr array.

    Parameters
    ----------
    selection
        The plane of a stack, and the channels.

    Raises
    ------
    ImageError
        No image in it, metadata that no version of OME-Zarr from 0.4 on has, axes that do not
        make one picture, or an array that is not made of plain numbers.
    """
    import zarr

    from napari_hemacells.core.image.zarr_store import RegularFileStore

    check_array(folder)
    store = RegularFileStore(folder, read_only=True)
    node = zarr.open(store, mode="r", use_consolidated=False)
    if isinstance(node, zarr.Array):
        return OpenedPicture((node,), Layout.of_shape(node.shape, selection))
    multiscale = _multiscale(node)
    if multiscale is None:
        return open_zarr(inside(folder, _first_image(node, folder)), selection)
    # Every level is looked at before one is opened: a low one is decoded without being asked for.
    level_folders = [inside(folder, dataset.path) for dataset in multiscale.datasets]
    for level in level_folders:
        check_array(level)
    levels: tuple[Any, ...] = tuple(
        zarr.open_array(RegularFileStore(level, read_only=True), mode="r")
        for level in level_folders
    )
    names = [axis.name for axis in multiscale.axes]
    layout = Layout.of_axes(
        levels[0].shape, names, names=_channel_names(node), selection=selection
    )
    # A lower level with fewer planes does not hold the one that is read.
    levels = tuple(level for level in levels if layout.fits(level.shape, levels[0].shape))
    return OpenedPicture(levels, layout, _size(multiscale))


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
    if is_zarr(folder / "0"):
        check_array(folder / "0")
        if "0" in group and _is_image(group["0"]):
            return "0"
    raise ImageError(
        f"{folder.name} is a zarr folder without an image of its own (no “multiscales” in its "
        "metadata): choose the folder of one image inside it."
    )


def _is_image(node: Any) -> bool:
    attributes = dict(node.attrs)
    return "multiscales" in attributes.get("ome", attributes)


def _channel_names(group: Any) -> list[str]:
    """Return the names of the channels, empty where the image does not say."""
    attributes = dict(group.attrs)
    shown = attributes.get("ome", attributes)
    channels = (shown.get("omero") or attributes.get("omero") or {}).get("channels") or []
    return [
        str(channel.get("label", "")) if isinstance(channel, dict) else "" for channel in channels
    ]


def _size(multiscale: Any) -> PixelSize:
    """Micrometres a pixel of the finest level."""
    names = [axis.name for axis in multiscale.axes]
    steps = np.ones(len(names))
    for transform in (
        *multiscale.datasets[0].coordinateTransformations,
        *(multiscale.coordinateTransformations or ()),
    ):
        if transform.type == "scale":
            steps *= transform.scale
    across, down = (names.index(name) for name in ("x", "y"))
    units = [getattr(multiscale.axes[at], "unit", None) for at in (across, down)]
    if not any(units):
        return PixelSize()
    return pixel_size(float(steps[across]), float(steps[down]), units[0], units[1])
