"""Conversion of napari layers to images, regions and cells of the core."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Points, Shapes

from napari_hemacells.core.errors import CellsError, ImageError
from napari_hemacells.core.image.pixel_size import MAX_ANISOTROPY
from napari_hemacells.core.pictures.contact_sheet import SheetLevel, image_of_sheet
from napari_hemacells.core.temperature.flir import FLIR_SUFFIXES, is_radiometric
from napari_hemacells.thermal import is_thermal, patient_of
from napari_hemacells.widgets.canvas import sight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_hemacells.core.detect import Regions
    from napari_hemacells.core.types import Cells, SmearImage


LAYER_TYPES = {"image": Image, "labels": Labels, "points": Points, "shapes": Shapes}


def layer_kind(layer: Layer) -> str:
    """``image``, ``labels``, ``points``, ``shapes``, or ``""`` for any other layer."""
    # Labels are no Image; a proxy of a layer passes isinstance but hides private names.
    return next((name for name, kind in LAYER_TYPES.items() if isinstance(layer, kind)), "")


def read_layer_image(layer: Image, point: Sequence[float] = ()) -> SmearImage:
    """The image that a layer shows: the result of :func:`image_maker`."""
    return image_maker(layer, point)()


def image_maker(
    layer: Image, point: Sequence[float] = (), index: tuple[int, ...] | None = None
) -> Callable[[], SmearImage]:
    """Return a function that makes the image of a layer, to be run in a thread.

    The layer is read now, its pixels are not; the returned function does not access the layer.
    A small image is a copy: what is painted into the layer later does not reach it.

    Parameters
    ----------
    layer
        Colour, grey, RGBA, any number type, in memory, dask or zarr; of a multiscale layer all
        levels; of a stack the plane in sight, named after its number at the slider. Channels
        first are colour only where the axis is called ``c`` or ``channel``.
    point
        The position of the sliders in world coordinates (``viewer.dims.point``).
    index
        The plane of a stack, in sight or not; ``None`` takes the one in sight.

    Raises
    ------
    ImageError
        The layer has no plane at this position, or colour channels as its last axis.
    """
    source = getattr(sight.finest_of(layer), "source", None)
    if isinstance(source, SheetLevel):  # of which the layer shows what was read so far
        return partial(image_of_sheet, source.sheet)
    index = sight.plane_index(layer, point) if index is None else index
    levels = list(layer.data) if layer.multiscale else [layer.data]
    planes = [sight.take_plane(level, index, levels[0]) for level in levels]
    name = sight.plane_name(layer, index)
    # A file that holds several planes shows another one when it is opened again.
    path = _path(layer) if name == layer.name else None
    if is_thermal(layer.metadata):
        patient = patient_of(layer.metadata, index[0] if index else 0)
        return partial(_thermogram, planes[0], name, path, patient)
    notes = _channel_notes(layer, levels[0]) + _temperature_notes(path)
    return partial(_colour_image, planes, name, path, pixel_size_um(layer), notes)


def _channel_notes(layer: Image, finest: Any) -> tuple[str, ...]:
    """What to do where the planes of a stack may be meant as colour channels.

    Raises
    ------
    ImageError
        The last axis holds the channels, so that what is seen is no picture.
    """
    if layer.ndim != 3 or layer.rgb or sight.is_channels_first(layer):
        return ()
    count = finest.shape[0]
    if finest.shape[-1] in {3, 4} and finest.shape[-2] > 4:
        raise ImageError(
            f"“{layer.name}” has {finest.shape[-1]} channels as its last axis, which napari shows "
            "as a slider: remove the layer and open the picture as colour (rgb=True)."
        )
    if count not in {2, 3, 4}:
        return ()
    note = (
        f"“{layer.name}” has {count} planes; each is an image of its own. If they are colour "
        "channels: right-click the layer, Split Stack, choose red, green and blue, right-click, "
        "Merge to RGB."
    )
    return (note,)


def _temperature_notes(path: Path | None) -> tuple[str, ...]:
    """That a picture of a thermal camera holds temperatures, which napari does not show."""
    if path is None or path.suffix.lower() not in FLIR_SUFFIXES or not is_radiometric(path):
        return ()
    note = (
        "This JPEG of a thermal camera holds temperatures too, and here only its colours are "
        "shown. For °C, drag the folder that it is in into napari and choose HemaCells."
    )
    return (note,)


def _colour_image(
    planes: Sequence[Any],
    name: str,
    path: Path | None,
    pixel_size: float | None,
    notes: Sequence[str] = (),
) -> SmearImage:
    from napari_hemacells.core.image import MAX_IN_MEMORY_PIXELS, image_from_array

    finest = planes[0]
    if isinstance(finest, np.ndarray) and finest.size <= 4 * MAX_IN_MEMORY_PIXELS:
        finest = np.array(finest)
    return image_from_array(
        finest, name, levels=planes, path=path, pixel_size_um=pixel_size, notes=notes
    )


def _thermogram(plane: Any, name: str, path: Path | None, patient: str | None) -> SmearImage:
    """The frame in °C, not rounded."""
    from napari_hemacells.core.image import content_key
    from napari_hemacells.core.types import Groups, SmearImage

    celsius = np.array(plane, dtype=np.float32)
    return SmearImage(
        pixels=celsius,
        key=content_key(celsius),
        name=name,
        modality="temperature",
        path=path,
        groups=Groups(patient=patient),
    )


def is_small_in_memory(layer: Image) -> bool:
    """Whether the image of a layer is small and in memory, so that no thread is needed."""
    from napari_hemacells.core.image import MAX_IN_MEMORY_PIXELS

    finest = sight.finest_of(layer)
    return (
        isinstance(finest, np.ndarray) and int(np.prod(image_size(layer))) <= MAX_IN_MEMORY_PIXELS
    )


def image_size(layer: Image) -> tuple[int, int]:
    """Rows and columns of the image that a layer shows."""
    shape = sight.finest_of(layer).shape
    rows, cols = shape[-3:-1] if layer.rgb else shape[-2:]
    return int(rows), int(cols)


def image_layer_kwargs(image: SmearImage) -> dict[str, Any]:
    """The layer arguments of an image that no layer shows yet; a large one by its levels."""
    if image.sheet is not None:
        levels = list(image.sheet.display_levels())
        return {"data": levels, "multiscale": True, "rgb": True, "name": image.name}
    if not image.is_lazy:
        return {"data": image.pixels, "name": image.name}
    from napari_hemacells.core.image import display_levels

    scale = image.pixel_size_um
    placed = {} if scale is None else {"scale": (scale, scale), "units": "um"}
    levels = display_levels(image)
    return {"data": levels, "multiscale": True, "rgb": True, "name": image.name, **placed}


def read_layer_regions(layer: Shapes, on: Layer, point: Sequence[float] = ()) -> Regions:
    """What the shapes of a layer enclose, in pixels of the image that the layer `on` shows.

    Raises
    ------
    CellsError
        Where there is no closed shape.
    """
    from napari_hemacells.core.detect import Regions

    return Regions(tuple(_need_outlines(layer, on, point, "draw a rectangle or a polygon in it")))


def _need_outlines(
    layer: Shapes, on: Layer, point: Sequence[float], advice: str
) -> list[NDArray[np.float64]]:
    closed = closed_outlines(layer, on, point)
    if not closed:
        there = " on the frame in sight" if layer.ndim > 2 else ""
        raise CellsError(f"“{layer.name}” has no closed shape{there}: {advice}.")
    return closed


def closed_outlines(
    layer: Shapes, on: Layer, point: Sequence[float] = ()
) -> list[NDArray[np.float64]]:
    """``(k, 2)`` corners of each closed shape, in pixels of the image that the layer `on` shows.

    An ellipse has as many as make it round; lines and paths enclose nothing and are left out, as
    are the shapes on other frames than the one at `point`, the position of the sliders.
    """
    return [
        sight.to_image_pixels(
            layer, on, _ellipse_corners(outline) if kind == "ellipse" else outline
        )
        for outline, kind in zip(layer.data, layer.shape_type, strict=True)
        if kind not in {"line", "path"} and sight.is_in_sight(layer, outline, point)
    ]


def displayed_plane(layer: Image, point: Sequence[float] = ()) -> Any:
    """The displayed plane of an image layer, at full resolution and in its stored type."""
    finest = sight.finest_of(layer)
    return sight.take_plane(finest, sight.plane_index(layer, point), finest)


def _ellipse_corners(box: NDArray[Any]) -> NDArray[np.float64]:
    """``(48, n)`` corners on the ellipse in a box given by its four corners."""
    middle = box.mean(axis=0)
    across, down = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)[:, None]
    return np.asarray(middle + np.cos(angle) * across + np.sin(angle) * down)


def _path(layer: Layer) -> Path | None:
    finest = layer.data[0] if getattr(layer, "multiscale", False) else None
    # A layer that was made from a file of ours knows it by its pixels.
    source = layer.source.path or getattr(getattr(finest, "source", None), "path", None)
    if source is None:
        return None
    path = Path(source)
    return path if path.exists() else None


def pixel_size_um(layer: Layer) -> float | None:
    """Micrometres a pixel, ``None`` where the layer does not say so or rows and columns differ.

    Their geometric mean where they differ by up to 5 %.
    """
    unit = layer.units[-1]
    if dict(unit.dimensionality) != {"[length]": 1}:
        return None
    sizes = [(float(scale) * unit).to("micrometer").magnitude for scale in layer.scale[-2:]]
    low, high = sorted(map(float, sizes))
    if not 0 < low <= high <= low * (1 + MAX_ANISOTROPY):
        return None
    return low if np.isclose(low, high, rtol=1e-3) else float(np.sqrt(low * high))


def cells_maker(
    layer: Layer,
    image: SmearImage,
    on: Layer,
    diameter: float | None = None,
    point: Sequence[float] = (),
) -> Callable[[], Cells]:
    """Return a function that makes the cells of a layer, to be run in a thread.

    The layer is read now; the returned function does not access the layer. Its own scale, shift,
    turn and shear are followed, and of several frames the one in sight is taken.

    Parameters
    ----------
    layer
        Labels; points as cell centres; closed shapes around cells.
    image, on
        The image and the layer that shows it, for the way from one's coordinates to the other's.
    diameter
        Typical cell diameter in pixels; points without it are given the image's own.
    point
        The position of the sliders in world coordinates (``viewer.dims.point``).

    Raises
    ------
    CellsError
        Another kind of layer, or nothing in it at this position.
    ImageError
        The layer or the image is turned out of its planes.
    """
    kind = layer_kind(layer)
    if kind == "labels":
        return _from_labels(layer, image, on, diameter, point)
    if kind not in {"points", "shapes"}:
        raise CellsError(
            f"“{layer.name}” holds no cells: choose a Labels, Points or Shapes layer."
        )
    if not len(layer.data):
        raise CellsError(f"“{layer.name}” is empty: mark each cell in it first.")
    if kind == "points":
        return _from_points(layer, image, on, diameter, point)
    outlines = _need_outlines(layer, on, point, "draw an outline around each cell")

    def make() -> Cells:
        from napari_hemacells.core.detect import cells_from_polygons

        return cells_from_polygons(outlines, image.shape, diameter=diameter)

    return make


def _from_labels(
    layer: Labels, image: SmearImage, on: Layer, diameter: float | None, point: Sequence[float]
) -> Callable[[], Cells]:
    # A copy: the user may go on painting while the cells are measured.
    labels = np.array(displayed_plane(layer, point))
    matrix, name = sight.pixel_affine(layer, on), layer.name
    # Labels without any transform and of the image's shape are on its pixels: from a file, they
    # do not know the pixel size that the image is shown with.
    plain = np.allclose(sight.data_affine(layer), np.eye(layer.ndim + 1))
    on_pixels = plain and labels.shape == image.shape
    moved = not on_pixels and not np.allclose(matrix, np.eye(3), atol=1e-3)
    if moved and image.is_lazy:
        raise CellsError(
            f"“{name}” is scaled or shifted against this large image: save it on the image's "
            "own grid first."
        )

    def make() -> Cells:
        from napari_hemacells.core.detect import cells_from_labels

        own = _on_image_grid(labels, matrix, image.shape, name) if moved else labels
        return cells_from_labels(own, image.shape, diameter=diameter)

    return make


def _on_image_grid(
    labels: NDArray[Any], matrix: NDArray[np.float64], shape: tuple[int, int], name: str
) -> NDArray[Any]:
    """The labels at each pixel of the image; `matrix` goes from label pixels to image pixels."""
    from scipy.ndimage import affine_transform

    inverse = np.linalg.inv(matrix)
    # Half a pixel exactly must not be rounded to one side here and to the other there.
    offset = inverse[:2, 2] + 1e-6
    there = affine_transform(labels, inverse[:2, :2], offset, output_shape=shape, order=0)
    if not labels.any():
        raise CellsError(f"“{name}” is empty: mark each cell in it first.")
    if not there.any():
        raise CellsError(f"“{name}” does not lie on the image: move it there, or choose another.")
    return np.asarray(there)


def _from_points(
    layer: Points, image: SmearImage, on: Layer, diameter: float | None, point: Sequence[float]
) -> Callable[[], Cells]:
    seen = [
        bool(shown) and sight.is_in_sight(layer, place, point)
        for place, shown in zip(layer.data, layer.shown, strict=True)
    ]
    if not any(seen):
        raise CellsError(
            f"“{layer.name}” has no point on the frame in sight: move the slider below the image, "
            "or mark each cell first."
        )
    places = sight.to_image_pixels(layer, on, np.asarray(layer.data)[seen])

    def make() -> Cells:
        from napari_hemacells.core.detect import cells_from_points, estimate_diameter

        return cells_from_points(places, image.shape, diameter or estimate_diameter(image))

    return make
