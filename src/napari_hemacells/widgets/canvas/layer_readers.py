"""Conversion of napari layers to images, regions and cells of the core."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Points, Shapes

from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.image.pixel_size import MAX_ANISOTROPY
from napari_hemacells.thermal import is_thermal, patient_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_hemacells.core.detect import Regions
    from napari_hemacells.core.types import Cells, SmearImage


LAYER_TYPES = {"image": Image, "labels": Labels, "points": Points, "shapes": Shapes}


def layer_kind(layer: Layer) -> str:
    """``image``, ``labels``, ``points``, ``shapes``, or ``""`` for any other layer."""
    # Labels are no Image; a proxy of a layer passes isinstance but hides private names.
    return next((name for name, kind in LAYER_TYPES.items() if isinstance(layer, kind)), "")


def read_layer_image(layer: Image, step: tuple[int, ...] = ()) -> SmearImage:
    """The image that a layer shows: the result of :func:`image_maker`."""
    return image_maker(layer, step)()


def image_maker(layer: Image, step: tuple[int, ...] = ()) -> Callable[[], SmearImage]:
    """Return a function that makes the image of a layer, to be run in a thread.

    The layer is read now, its pixels are not; the returned function does not access the layer.

    Parameters
    ----------
    layer
        Colour, grey, RGBA, any number type, in memory, dask or zarr; of a multiscale layer all
        levels; of a stack, also one of three or four planes, the plane shown.
    step
        The viewer's present position along each dimension, for stacks.
    """
    from napari_hemacells.core.image import image_from_array

    levels = list(layer.data) if layer.multiscale else [layer.data]
    planes = [_plane(level, step, rgb=layer.rgb) for level in levels]
    if is_thermal(layer.metadata):
        patient = patient_of(layer.metadata, step[0] if layer.ndim > 2 and step else 0)
        return partial(_thermogram, planes[0], layer.name, _path(layer), patient)
    return partial(
        image_from_array,
        planes[0],
        layer.name,
        levels=planes,
        path=_path(layer),
        pixel_size_um=pixel_size_um(layer),
    )


def _thermogram(plane: Any, name: str, path: Path | None, patient: str | None) -> SmearImage:
    """The frame in °C, not rounded."""
    from napari_hemacells.core.image import content_key
    from napari_hemacells.core.types import Groups, SmearImage

    celsius = np.asarray(plane, dtype=np.float32)
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

    finest = layer.data[0] if layer.multiscale else layer.data
    return (
        isinstance(finest, np.ndarray) and int(np.prod(image_size(layer))) <= MAX_IN_MEMORY_PIXELS
    )


def image_size(layer: Image) -> tuple[int, int]:
    """Rows and columns of the image that a layer shows."""
    shape = (layer.data[0] if layer.multiscale else layer.data).shape
    channels_last = layer.rgb or (len(shape) == 3 and shape[-1] <= 4 < shape[0])
    rows, cols = shape[-3:-1] if channels_last else shape[-2:]
    return int(rows), int(cols)


def image_layer_kwargs(image: SmearImage) -> dict[str, Any]:
    """The layer arguments of an image that no layer shows yet; a large one by its levels."""
    if not image.is_lazy:
        return {"data": image.pixels, "name": image.name}
    from napari_hemacells.core.image import display_levels

    scale = image.pixel_size_um
    placed = {} if scale is None else {"scale": (scale, scale), "units": "um"}
    levels = display_levels(image)
    return {"data": levels, "multiscale": True, "rgb": True, "name": image.name, **placed}


def read_layer_regions(layer: Shapes, on: Layer) -> Regions:
    """What the shapes of a layer enclose, in pixels of the image that the layer `on` shows.

    Raises
    ------
    CellsError
        Where there is no closed shape.
    """
    from napari_hemacells.core.detect import Regions

    closed = closed_outlines(layer, on)
    if not closed:
        raise CellsError(
            f"“{layer.name}” has no closed shape: draw a rectangle or a polygon in it."
        )
    return Regions(tuple(closed))


def closed_outlines(layer: Shapes, on: Layer) -> list[NDArray[np.float64]]:
    """``(k, 2)`` corners of each closed shape, in pixels of the image that the layer `on` shows.

    An ellipse has as many as make it round; lines and paths enclose nothing and are left out.
    """
    return [
        _to_image_pixels(layer, on, _ellipse_corners(outline) if kind == "ellipse" else outline)
        for outline, kind in zip(layer.data, layer.shape_type, strict=True)
        if kind not in {"line", "path"}
    ]


def displayed_plane(layer: Image, step: tuple[int, ...] = ()) -> Any:
    """The displayed plane of an image layer, at full resolution and in its stored type."""
    finest = layer.data[0] if layer.multiscale else layer.data
    return _plane(finest, step, rgb=layer.rgb)


def _ellipse_corners(box: NDArray[Any]) -> NDArray[np.float64]:
    """``(48, n)`` corners on the ellipse in a box given by its four corners."""
    middle = box.mean(axis=0)
    across, down = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)[:, None]
    return np.asarray(middle + np.cos(angle) * across + np.sin(angle) * down)


def _plane(data: Any, step: tuple[int, ...], *, rgb: bool) -> Any:
    """The displayed plane of a level; lazy levels are not read."""
    flat = 3 if rgb else 2
    if data.ndim <= flat:
        return data
    extra = data.ndim - flat
    shown = (*step[:extra], *([0] * extra))[:extra]
    sizes = data.shape[:extra]
    index = tuple(min(int(at), size - 1) for at, size in zip(shown, sizes, strict=True))
    if not isinstance(data, np.ndarray):
        from dask.array import asarray

        data = asarray(data)  # type: ignore[no-untyped-call]  # a slice of it is lazy too
    return data[index]


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


def plane_transform(layer: Layer) -> dict[str, Any]:
    """The transforms that align a two-dimensional layer with this one."""
    placed: dict[str, Any] = {
        "scale": np.asarray(layer.scale[-2:]),
        "translate": np.asarray(layer.translate[-2:]),
        "units": tuple(layer.units[-2:]),
    }
    if layer.ndim == 2:
        placed |= {"rotate": layer.rotate, "shear": layer.shear, "affine": layer.affine}
    return placed


def cells_maker(
    layer: Layer, image: SmearImage, on: Layer, diameter: float | None = None
) -> Callable[[], Cells]:
    """Return a function that makes the cells of a layer, to be run in a thread.

    The layer is read now; the returned function does not access the layer.

    Parameters
    ----------
    layer
        Labels of the image's shape; points as cell centres; shapes around cells.
    image, on
        The image and the layer that shows it, for the way from one's coordinates to the other's.
    diameter
        Typical cell diameter in pixels; points without it are given the image's own.

    Raises
    ------
    CellsError
        Another kind of layer, or nothing in it.
    """
    kind = layer_kind(layer)
    if kind == "labels":
        return _from_labels(layer, image, diameter)
    if kind not in {"points", "shapes"}:
        raise CellsError(
            f"“{layer.name}” holds no cells: choose a Labels, Points or Shapes layer."
        )
    if not len(layer.data):
        raise CellsError(f"“{layer.name}” is empty: mark each cell in it first.")
    if kind == "points":
        return _from_points(_to_image_pixels(layer, on, layer.data), image, diameter)
    outlines = [_to_image_pixels(layer, on, vertices) for vertices in layer.data]
    return _from_shapes(outlines, set(layer.shape_type), image, diameter)


def _from_labels(layer: Labels, image: SmearImage, diameter: float | None) -> Callable[[], Cells]:
    # A copy: the user may go on painting while the cells are measured.
    labels = np.array(layer.data[0] if layer.multiscale else layer.data)

    def make() -> Cells:
        from napari_hemacells.core.detect import cells_from_labels

        return cells_from_labels(labels, image.shape, diameter=diameter)

    return make


def _from_points(
    places: NDArray[np.float64], image: SmearImage, diameter: float | None
) -> Callable[[], Cells]:
    def make() -> Cells:
        from napari_hemacells.core.detect import cells_from_points, estimate_diameter

        return cells_from_points(places, image.shape, diameter or estimate_diameter(image))

    return make


def _from_shapes(
    outlines: list[NDArray[np.float64]],
    kinds: set[str],
    image: SmearImage,
    diameter: float | None,
) -> Callable[[], Cells]:
    def make() -> Cells:
        from napari_hemacells.core.detect import cells_from_boxes, cells_from_polygons

        if kinds <= {"rectangle", "ellipse"}:
            return cells_from_boxes(_boxes(outlines), image.shape, diameter=diameter)
        return cells_from_polygons(outlines, image.shape)

    return make


def _boxes(outlines: list[NDArray[np.float64]]) -> NDArray[np.int64]:
    """``(n, 4)`` half-open boxes; napari's pixel centres are whole numbers."""
    boxes = []
    for outline in outlines:
        low, high = np.floor(outline.min(axis=0) + 0.5), np.floor(outline.max(axis=0) + 0.5)
        boxes.append([*low, *np.maximum(high, low + 1)])
    return np.asarray(boxes, dtype=np.int64)


def _to_image_pixels(layer: Layer, on: Layer, places: NDArray[Any]) -> NDArray[np.float64]:
    """``(n, 2)`` rows and columns of the image, from coordinates of another layer."""
    mapped = [on.world_to_data(layer.data_to_world(place)) for place in np.atleast_2d(places)]
    return np.asarray(mapped, dtype=np.float64)[:, -2:]
