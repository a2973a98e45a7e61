"""The layers of a viewer as choices, read as images, regions and cells."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from napari_hemacells import layers as ours
from napari_hemacells.core.errors import ImageError
from napari_hemacells.widgets.canvas import layer_readers
from napari_hemacells.widgets.canvas.sight import (
    Seen,
    index_of_name,
    look,
    show_plane,
    slider_point,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_hemacells.core.detect import Regions
    from napari_hemacells.core.types import Cells, SmearImage


class LayerChoice(NamedTuple):
    """A layer to choose from: napari's key and the layer's name."""

    key: str
    title: str
    kind: str = ""


class PlaneChoice(NamedTuple):
    """A plane of a stack: the key of its layer, its place there, and what makes its image."""

    key: str
    place: tuple[int, ...]
    make: Callable[[], SmearImage]


class LayerCatalog:
    """The layers of a viewer, read as images, regions and cells; nothing is changed.

    Parameters
    ----------
    viewer
        A viewer, or a :class:`napari.components.ViewerModel`.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer

    def find(self, role: str, image_key: str | None = None) -> Layer | None:
        """The plugin's layer with this role (of this image), whatever its name is now."""
        for layer in self.viewer.layers:
            mine = layer.metadata.get(ours.METADATA_KEY)
            if not isinstance(mine, dict) or mine.get("role") != role:
                continue
            if image_key is None or mine.get("image_key") == image_key:
                return layer
        return None

    def images(self) -> list[LayerChoice]:
        """Image layers, the uppermost first."""
        return self._choices("image")

    def cell_sources(self) -> list[LayerChoice]:
        """Labels, Points and Shapes layers that the plugin did not add."""
        return self._choices("labels", "points", "shapes")

    def _choices(self, *kinds: str) -> list[LayerChoice]:
        return [
            LayerChoice(str(layer.unique_id), layer.name, layer_readers.layer_kind(layer))
            for layer in reversed(self.viewer.layers)
            if layer_readers.layer_kind(layer) in kinds
            and ours.role_of(layer.metadata) in {None, "image"}
        ]

    def layer(self, key: str) -> Layer | None:
        """The chosen layer, ``None`` if it has been removed."""
        layers = (layer for layer in self.viewer.layers if str(layer.unique_id) == key)
        return next(layers, None)

    def active_image(self) -> str | None:
        """The key of the selected image layer, otherwise of the uppermost one."""
        images = self.images()
        return self.active_image_layer() or (images[0].key if images else None)

    def active_image_layer(self) -> str | None:
        """The key of the selected layer if it is an image."""
        active = self.viewer.layers.selection.active
        shown = active is not None and layer_readers.layer_kind(active) == "image"
        return str(active.unique_id) if shown else None

    def read_image(self, key: str) -> SmearImage | None:
        """The image of the chosen layer; raises ``ImageError`` if it has none."""
        make = self.image_maker(key)
        return None if make is None else make()

    def image_maker(self, key: str) -> Callable[[], SmearImage] | None:
        """Return a function that makes the image, for a thread; ``None`` if the layer is gone."""
        layer = self.layer(key)
        return None if layer is None else layer_readers.image_maker(layer, self._point)

    def planes_named(self, name: str, shape: tuple[int, int]) -> list[PlaneChoice]:
        """The planes of stacks that may be the frame of this name, in sight or not.

        Only their pixels tell whether they are: another stack has frames of the same numbers.
        """
        planes = []
        for choice in self.images():
            layer = self.layer(choice.key)
            if layer is None or layer_readers.image_size(layer) != shape:
                continue
            index = index_of_name(layer, name)
            if index is not None:
                with suppress(ImageError):  # no smear
                    make = layer_readers.image_maker(layer, index=index)
                    planes.append(PlaneChoice(choice.key, index, make))
        return planes

    def find_plane(
        self, name: str, shape: tuple[int, int], image_key: str
    ) -> tuple[PlaneChoice, SmearImage] | None:
        """The plane of a stack in memory that is the frame of this name, and its image."""
        for plane in self.planes_named(name, shape):
            if self.is_small_in_memory(plane.key):
                with suppress(ImageError):
                    image = plane.make()
                    if image.key == image_key:
                        return plane, image
        return None

    def show_plane(self, key: str, index: tuple[int, ...]) -> None:
        """Move the sliders so that this plane of the chosen layer is in sight."""
        layer = self.layer(key)
        if layer is not None and index:
            show_plane(self.viewer, layer, index)

    def is_small_in_memory(self, key: str) -> bool:
        """Whether the image of the chosen layer is small and in memory."""
        layer = self.layer(key)
        return layer is None or layer_readers.is_small_in_memory(layer)

    def shape_of(self, key: str) -> tuple[int, int] | None:
        """Rows and columns of the chosen layer's image, without reading it."""
        layer = self.layer(key)
        return None if layer is None else layer_readers.image_size(layer)

    def look(self, key: str) -> Seen | None:
        """What the chosen layer shows now, to notice later that it shows something else."""
        layer = self.layer(key)
        return None if layer is None else look(layer, self._point)

    @property
    def _point(self) -> tuple[float, ...]:
        """The position of the sliders in world coordinates."""
        return slider_point(self.viewer)

    def read_regions(self, key: str, image: SmearImage) -> Regions | None:
        """The regions that the Shapes layer of a choice encloses; ``None`` if it is gone.

        Raises
        ------
        CellsError
            Where it encloses nothing.
        """
        layer, on = self.layer(key), self.find("image", image.key)
        if layer is None or on is None:
            return None
        return layer_readers.read_layer_regions(layer, on, self._point)

    def read_cells(
        self, key: str, image: SmearImage, diameter: float | None
    ) -> Callable[[], Cells] | None:
        """Return a function that makes the cells in pixels of the image, for a thread."""
        layer, on = self.layer(key), self.find("image", image.key)
        if layer is None or on is None:
            return None
        return layer_readers.cells_maker(layer, image, on, diameter, self._point)
