"""What is in sight: the plane of a stack, and the way from a layer's data to image pixels."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from psygnal import Signal

from napari_hemacells.core.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Layer
    from numpy.typing import NDArray

_CHECKED_BYTES = 16_000_000  # bytes of a plane that are compared at a click: milliseconds
_FRAME = re.compile(r" frame (\d{1,9}(?:-\d{1,9})*)$")  # as plane_name writes it
_CHANNEL_NAMES = {"c", "ch", "channel", "channels"}


# --- the plane of a stack --------------------------------------------------------------------


def finest_of(layer: Layer) -> Any:
    """The data of an Image or Labels layer at full resolution."""
    return layer.data[0] if layer.multiscale else layer.data


def is_channels_first(layer: Image) -> bool:
    """Whether the first axis of an image layer is named as its colour channels."""
    finest = finest_of(layer)
    named = str(layer.axis_labels[0]).lower() in _CHANNEL_NAMES
    colour = getattr(layer, "rgb", False)
    return not colour and layer.ndim == 3 and named and finest.shape[0] in {3, 4}


def slider_point(viewer: ViewerModel) -> tuple[float, ...]:
    """The position of the sliders in world coordinates.

    Raises
    ------
    ImageError
        The viewer's axes are rolled, so that no plane of rows and columns is seen.
    """
    if are_axes_rolled(viewer):
        raise ImageError(
            "The axes of the viewer are rolled: press Ctrl+E until rows and columns are shown."
        )
    return tuple(viewer.dims.point)


def are_axes_rolled(viewer: ViewerModel) -> bool:
    """Whether others than the last two axes are shown."""
    dims = viewer.dims
    return dims.ndisplay == 2 and set(dims.displayed) != {dims.ndim - 2, dims.ndim - 1}


def plane_index(layer: Layer, point: Sequence[float] = ()) -> tuple[int, ...]:
    """Index of the plane in sight along each axis of a layer but its last two; () for one plane.

    Parameters
    ----------
    layer
        An Image or Labels layer.
    point
        The position of the sliders in world coordinates (``viewer.dims.point``); without it,
        the first plane.

    Raises
    ------
    ImageError
        The layer has no plane at this position.
    """
    finest = finest_of(layer)
    extra = layer.ndim - 2
    if extra <= 0 or is_channels_first(layer):
        return ()
    place = np.zeros(extra) if not len(point) else layer.world_to_data(point)[:extra]
    index = tuple(int(np.round(at)) for at in place)
    if any(not 0 <= at < size for at, size in zip(index, finest.shape[:extra], strict=True)):
        raise ImageError(
            f"“{layer.name}” has no picture at this position: move the slider below the image."
        )
    return index


def take_plane(level: Any, index: tuple[int, ...], finest: Any) -> Any:
    """A plane of one level of a pyramid; a lazy level is not read."""
    if not index:
        return level
    sizes = zip(index, level.shape, finest.shape, strict=False)
    own = tuple(at * size // whole for at, size, whole in sizes)
    if not isinstance(level, np.ndarray):
        from dask.array import asarray

        level = asarray(level)  # type: ignore[no-untyped-call]  # a slice of it is lazy too
    return level[own]


def plane_name(layer: Layer, index: tuple[int, ...]) -> str:
    """The layer's name, with the number at the slider where the layer has more than one plane."""
    finest = finest_of(layer)
    several = [at for at, size in zip(index, finest.shape, strict=False) if size > 1]
    return f"{layer.name} frame {'-'.join(map(str, several))}" if several else str(layer.name)


def index_of_name(layer: Layer, name: str) -> tuple[int, ...] | None:
    """Index of the plane of a layer that :func:`plane_name` called so, whatever its name is now.

    ``None`` where the layer has no such plane. What the plane shows must be compared: another
    stack has planes of the same numbers.
    """
    extra = layer.ndim - 2
    numbered = _FRAME.search(name)
    if numbered is None or extra <= 0 or is_channels_first(layer):
        return None
    sizes = finest_of(layer).shape[:extra]
    several = [axis for axis, size in enumerate(sizes) if size > 1]
    numbers = [int(number) for number in numbered[1].split("-")]
    index = [0] * extra
    if len(numbers) != len(several):
        return None
    for axis, number in zip(several, numbers, strict=True):
        index[axis] = number
    inside = all(at < size for at, size in zip(index, sizes, strict=True))
    return tuple(index) if inside else None


def show_plane(viewer: ViewerModel, layer: Layer, index: tuple[int, ...]) -> None:
    """Move the sliders so that a plane of a layer is in sight."""
    world = layer.data_to_world(np.array([*index, 0, 0], dtype=np.float64))
    first = viewer.dims.ndim - layer.ndim
    for axis in range(len(index)):
        viewer.dims.set_point(first + axis, float(world[axis]))


def is_in_sight(layer: Layer, places: NDArray[Any], point: Sequence[float] = ()) -> bool:
    """Whether corners of a shape, or a point, lie on the plane in sight or on both sides of it.

    Parameters
    ----------
    layer
        A Points or Shapes layer.
    places
        ``(n, ndim)`` coordinates of the layer.
    point
        The position of the sliders in world coordinates; without it, the first plane.
    """
    extra = layer.ndim - 2
    if extra <= 0:
        return True
    at = np.zeros(extra) if not len(point) else np.asarray(layer.world_to_data(point))[:extra]
    along = np.round(np.atleast_2d(places)[:, :extra])
    return bool(((along.min(axis=0) <= np.round(at)) & (np.round(at) <= along.max(axis=0))).all())


# --- from the data of a layer to the pixels of an image --------------------------------------


def data_affine(layer: Layer) -> NDArray[np.float64]:
    """``(n + 1, n + 1)`` matrix from a layer's data to the world: scale, turn, shear, all."""
    origin = np.asarray(layer.data_to_world(np.zeros(layer.ndim)), dtype=np.float64)
    matrix = np.eye(layer.ndim + 1)
    for axis, unit in enumerate(np.eye(layer.ndim)):
        matrix[:-1, axis] = np.asarray(layer.data_to_world(unit)) - origin
    matrix[:-1, -1] = origin
    return matrix


def plane_affine(layer: Layer) -> NDArray[np.float64]:
    """``(3, 3)`` matrix from rows and columns of a layer's plane to the world.

    Raises
    ------
    ImageError
        The layer is turned out of the plane, so that no plane of it is seen.
    """
    whole = data_affine(layer)
    extra = layer.ndim - 2
    coupled = np.concatenate([whole[:extra, extra:-1].ravel(), whole[extra:-1, :extra].ravel()])
    size = float(np.abs(whole[:-1, :-1]).max())
    if coupled.size and float(np.abs(coupled).max()) > 1e-6 * size:
        raise ImageError(
            f"“{layer.name}” is turned or sheared out of its planes: remove that transform first."
        )
    return np.asarray(whole[extra:, extra:])


def pixel_affine(layer: Layer, on: Layer) -> NDArray[np.float64]:
    """``(3, 3)`` matrix from a plane of a layer to the pixels of the image that `on` shows."""
    return np.asarray(np.linalg.inv(plane_affine(on)) @ plane_affine(layer))


def to_image_pixels(layer: Layer, on: Layer, places: NDArray[Any]) -> NDArray[np.float64]:
    """``(n, 2)`` rows and columns of the image, from ``(n, ndim)`` coordinates of a layer."""
    matrix = pixel_affine(layer, on)
    flat = np.atleast_2d(np.asarray(places, dtype=np.float64))[:, -2:]
    return np.asarray(flat @ matrix[:2, :2].T + matrix[:2, 2])


def plane_transform(layer: Layer) -> dict[str, Any]:
    """The transforms that align a two-dimensional layer with the planes of this one."""
    if layer.ndim == 2:
        names = ("scale", "translate", "rotate", "shear", "affine")
        placed = {name: getattr(layer, name) for name in names}
    else:
        matrix = plane_affine(layer)
        linear = matrix[:2, :2]
        if np.allclose(linear, np.diag(np.diag(linear))):
            placed = {"scale": np.diag(linear), "translate": matrix[:2, 2]}
        else:
            placed = {"affine": matrix}
    return {**placed, "units": tuple(layer.units[-2:])}


# --- whether it is still what was read -------------------------------------------------------


class Seen(NamedTuple):
    """A layer as it was when it was read: its data, the plane in sight, and a checksum of it."""

    data: Any
    plane: tuple[int, ...]
    checksum: int


def look(layer: Image, point: Sequence[float]) -> Seen:
    """What a layer shows now; the checksum of a lazy layer is 0, as it is not read."""
    data, index = finest_of(layer), plane_index(layer, point)
    return Seen(data, index, _checksum(take_plane(data, index, data)))


def _checksum(plane: Any) -> int:
    """CRC-32 of a plane in memory; of a large one, of evenly spread rows."""
    if not isinstance(plane, np.ndarray) or not plane.size:
        return 0
    step = -(-plane.nbytes // _CHECKED_BYTES)
    rows = np.ascontiguousarray(plane[::step])
    return zlib.crc32(
        rows.view(np.uint8).data, zlib.crc32(repr((plane.shape, plane.dtype)).encode())
    )


class ImageWatch:
    """Notices that the layer of the image in use shows something else than what was read.

    Parameters
    ----------
    viewer
        A viewer, or a :class:`napari.components.ViewerModel`.
    """

    noticed = Signal()  # the layer or a slider has changed: look again

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._layer: Image | None = None
        self._seen: Seen | None = None
        for event in (viewer.dims.events.point, viewer.dims.events.order):
            event.connect(self._notice)

    def follow(self, layer: Image | None, seen: Seen | None = None) -> None:
        """Watch this layer from now on; `seen` is what it showed when its image was read."""
        if layer is not self._layer:
            self._let_go()
            self._layer = layer
            if layer is not None:
                layer.events.data.connect(self._notice)
                layer.events.set_data.connect(self._notice)
        self._seen = None
        if layer is not None:
            self._seen = seen or look(layer, slider_point(self._viewer))

    def close(self) -> None:
        """Disconnect from the viewer."""
        self._let_go()
        for event in (self._viewer.dims.events.point, self._viewer.dims.events.order):
            event.disconnect(self._notice)

    @property
    def has_moved(self) -> bool:
        """Whether another plane or other data is shown; quick, as no pixel is read."""
        if self._layer is None or self._seen is None:
            return False
        if are_axes_rolled(self._viewer):
            return True
        try:
            index = plane_index(self._layer, self._viewer.dims.point)
        except ImageError:
            return True
        return index != self._seen.plane or finest_of(self._layer) is not self._seen.data

    @property
    def has_changed(self) -> bool:
        """Whether the plane in sight is not the one that was read, by place or by its pixels."""
        if self._layer is None or self._seen is None:
            return False
        if self.has_moved:
            return True
        return look(self._layer, self._viewer.dims.point).checksum != self._seen.checksum

    def _let_go(self) -> None:
        if self._layer is not None:
            self._layer.events.data.disconnect(self._notice)
            self._layer.events.set_data.disconnect(self._notice)
        self._layer = self._seen = None

    def _notice(self, _event: object = None) -> None:
        if self._layer is not None:
            self.noticed.emit()
