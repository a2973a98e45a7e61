"""The layers of a viewer that a user may choose: pictures, and what holds cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from napari_hemacells import layers as ours
from napari_hemacells.widgets import reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_hemacells.core.detect import Regions
    from napari_hemacells.core.types import Cells, SmearImage


class Choice(NamedTuple):
    """A layer to choose from: napari's own key, and the name that the user gave it."""

    key: str
    title: str
    kind: str = ""


class LayerChoices:
    """The layers of a viewer, read as pictures, regions and cells; nothing is changed.

    Parameters
    ----------
    viewer
        A viewer, or a :class:`napari.components.ViewerModel`.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer

    def find(self, role: str, image_key: str | None = None) -> Layer | None:
        """Our layer with this role (of this image), whatever it is called now."""
        for layer in self.viewer.layers:
            mine = layer.metadata.get(ours.METADATA_KEY)
            if not isinstance(mine, dict) or mine.get("role") != role:
                continue
            if image_key is None or mine.get("image_key") == image_key:
                return layer
        return None

    def images(self) -> list[Choice]:
        """Image layers, the uppermost first."""
        return self._choices("image")

    def cell_sources(self) -> list[Choice]:
        """Labels, Points and Shapes layers that are not ours."""
        return self._choices("labels", "points", "shapes")

    def _choices(self, *kinds: str) -> list[Choice]:
        return [
            Choice(str(layer.unique_id), layer.name, reading.kind_of(layer))
            for layer in reversed(self.viewer.layers)
            if reading.kind_of(layer) in kinds and ours.role_of(layer.metadata) in {None, "image"}
        ]

    def layer(self, key: str) -> Layer | None:
        """The layer of a choice, ``None`` if it was removed meanwhile."""
        found = (layer for layer in self.viewer.layers if str(layer.unique_id) == key)
        return next(found, None)

    def active_image(self) -> str | None:
        """The key of the image layer that is selected, otherwise of the uppermost."""
        active = self.viewer.layers.selection.active
        if active is not None and reading.kind_of(active) == "image":
            return str(active.unique_id)
        images = self.images()
        return images[0].key if images else None

    def read_image(self, key: str) -> SmearImage | None:
        """The picture of a choice; raises ``ImageError`` where it is none."""
        layer = self.layer(key)
        return None if layer is None else reading.image_of(layer, self._step)

    def image_maker(self, key: str) -> Callable[[], SmearImage] | None:
        """What makes the picture of a choice, for a thread; ``None`` if the layer is gone."""
        layer = self.layer(key)
        return None if layer is None else reading.image_maker(layer, self._step)

    def is_quick(self, key: str) -> bool:
        """Whether the picture of a choice is small and in memory."""
        layer = self.layer(key)
        return layer is None or reading.is_quick(layer)

    def shape_of(self, key: str) -> tuple[int, int] | None:
        """Rows and columns of the picture of a choice, without reading it."""
        layer = self.layer(key)
        return None if layer is None else reading.size_of(layer)

    @property
    def _step(self) -> tuple[int, ...]:
        return tuple(self.viewer.dims.current_step)

    def read_regions(self, key: str, image: SmearImage) -> Regions | None:
        """The regions that the Shapes layer of a choice encloses; ``None`` if it is gone.

        Raises
        ------
        CellsError
            Where it encloses nothing.
        """
        layer, on = self.layer(key), self.find("image", image.key)
        return None if layer is None or on is None else reading.regions_of(layer, on)

    def read_cells(
        self, key: str, image: SmearImage, diameter: float | None
    ) -> Callable[[], Cells] | None:
        """What makes the cells of a choice, in pixels of the image; for a thread."""
        layer, on = self.layer(key), self.find("image", image.key)
        if layer is None or on is None:
            return None
        return reading.cells_of(layer, image, on, diameter)
