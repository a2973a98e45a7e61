"""Regions of a thermogram as Shapes layers, and the user's outlines read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.layers import Shapes

from napari_hemacells import layers as ours
from napari_hemacells.core.errors import CellsError, ImageError
from napari_hemacells.core.thermography.regions import SIDES
from napari_hemacells.thermal import is_thermal
from napari_hemacells.widgets.canvas import layer_readers
from napari_hemacells.widgets.canvas.sight import plane_index, plane_name, plane_transform

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image, Layer
    from numpy.typing import NDArray

    from napari_hemacells.core.thermography.regions import Side, ThermogramRegions

CORNERS = 24  # of a hot spot's outline on the canvas
BREASTS, HOT_SPOTS = "breasts", "hot spots"
COLOURS: dict[Side, str] = {"right": "#7fd4ff", "left": "#8dff8d"}
HOT_COLOUR = "white"
REGIONS_OF_KEY, REGIONS_KEY, FRAME_KEY = "regions_of", "regions", "frame"


class ThermogramLayers:
    """The thermograms of a viewer and their regions.

    Parameters
    ----------
    viewer
        A viewer, or a :class:`napari.components.ViewerModel`.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._hidden: set[str] = set()  # layers of regions of what is out of sight

    def is_thermogram(self, key: str | None) -> bool:
        """Whether the layer of this key shows temperatures."""
        layer = self._image(key)
        return layer is not None and is_thermal(layer.metadata)

    def frame(self, key: str | None) -> tuple[int, ...]:
        """The frame in sight of the layer of this key; () where it has but one."""
        layer = self._image(key)
        if layer is None:
            return ()
        try:
            return plane_index(layer, self._viewer.dims.point)
        except ImageError:
            return ()

    def frame_name(self, key: str | None) -> str:
        """The name of the frame in sight, as the session calls it; empty without a layer."""
        layer = self._image(key)
        return "" if layer is None else plane_name(layer, self.frame(key))

    def keep_to_sight(self, key: str | None) -> None:
        """Show the regions of the frame in sight of this thermogram, and hide all others.

        Regions that the user has hidden stay hidden.
        """
        here = (key, self.frame(key))
        for layer in self._viewer.layers:
            mine = layer.metadata.get(ours.METADATA_KEY)
            if not isinstance(mine, dict) or REGIONS_KEY not in mine:
                continue
            in_sight = (mine[REGIONS_OF_KEY], tuple(mine.get(FRAME_KEY, ()))) == here
            name = str(layer.unique_id)
            if in_sight and name in self._hidden:
                layer.visible = True
                self._hidden.discard(name)
            elif not in_sight and layer.visible:
                layer.visible = False
                self._hidden.add(name)

    def celsius_maker(self, key: str) -> Callable[[], NDArray[np.float32]] | None:
        """Return a function that reads the displayed frame of a thermogram, for a thread."""
        layer = self._image(key)
        if layer is None:
            return None
        plane = layer_readers.displayed_plane(layer, self._viewer.dims.point)
        return lambda: np.asarray(plane, dtype=np.float32)

    def has_outlines(self, key: str | None) -> bool:
        """Whether the thermogram of this key has an outline."""
        layer = None if key is None else self._shapes(BREASTS, key)
        return layer is not None and bool(len(layer.data))

    def outlines(self, key: str) -> dict[Side, NDArray[np.float64]]:
        """Outline of each breast in pixels of the thermogram, as edited by the user.

        A shape without a name is taken as the right breast if it lies left of the other.

        Raises
        ------
        CellsError
            There is no outline, or more than one for a side.
        """
        layer, on = self._shapes(BREASTS, key), self._image(key)
        if layer is None or on is None or not len(layer.data):
            raise CellsError("There is no outline of a breast: press Find regions, or draw one.")
        drawn = layer_readers.closed_outlines(layer, on, self._viewer.dims.point)
        if not 1 <= len(drawn) <= len(SIDES):
            raise CellsError(
                f"There are {len(drawn)} shapes on “{layer.name}”: keep one shape for each breast."
            )
        return _by_side(drawn, _names(layer))

    def show(self, regions: ThermogramRegions, key: str, frame: tuple[int, ...]) -> str:
        """Show the regions of a frame and return the key of the outlines' layer.

        Earlier regions of that frame are replaced. Empty where the thermogram was removed.
        """
        on = self._image(key)
        if on is None:
            return ""
        for what in (BREASTS, HOT_SPOTS):
            layer = self._shapes(what, key, frame)
            if layer is not None:
                self._viewer.layers.remove(layer)
        self._add_hot_spots(regions, on, key, frame)
        breasts = self._add_breasts(regions, on, key, frame)
        self._viewer.layers.selection.active = breasts
        return str(breasts.unique_id)

    def show_hot_spots(self, regions: ThermogramRegions, key: str, frame: tuple[int, ...]) -> None:
        """Show other hot spots; the outlines do not change."""
        on, active = self._image(key), self._viewer.layers.selection.active
        layer = self._shapes(HOT_SPOTS, key, frame)
        if layer is not None:
            self._viewer.layers.remove(layer)
        if on is not None:
            self._add_hot_spots(regions, on, key, frame)
        self._viewer.layers.selection.active = active

    def _add_breasts(
        self, regions: ThermogramRegions, on: Image, key: str, frame: tuple[int, ...]
    ) -> Layer:
        sides = [side for side in SIDES if side in regions.breasts]
        outlines = [regions.breasts[side].outline for side in sides]
        features = pd.DataFrame({"region": [f"{side} breast" for side in sides]})
        layer = Shapes(
            outlines,
            shape_type="polygon",
            name="Breasts",
            features=features,
            text={"string": "{region}", "color": "white", "size": 11, "anchor": "upper_left"},
            edge_color=[COLOURS[side] for side in sides],
            **_shapes_kwargs(BREASTS, on, key, frame),
        )
        layer.help = "move a corner or an outline by hand, then press Measure"
        return self._viewer.add_layer(layer)

    def _add_hot_spots(
        self, regions: ThermogramRegions, on: Image, key: str, frame: tuple[int, ...]
    ) -> None:
        from skimage.measure import find_contours

        spots = regions.hot_spots
        if not spots:
            return
        outlines = []
        for spot in spots:
            longest = max(find_contours(np.pad(spot.mask, 1), 0.5), key=len)
            outlines.append(_decimate(longest[:-1] - 1, CORNERS))
        layer = Shapes(
            outlines,
            shape_type="polygon",
            name="Hot spots",
            features=pd.DataFrame(
                {
                    "peak (°C)": [round(spot.peak, 2) for spot in spots],
                    "contrast (°C)": [round(spot.contrast, 2) for spot in spots],
                    "area (px)": [spot.area_px for spot in spots],
                    "shown": [f"{spot.peak:.1f} °C" for spot in spots],
                }
            ),
            text={"string": "{shown}", "color": HOT_COLOUR, "size": 9, "anchor": "lower_left"},
            edge_color=HOT_COLOUR,
            **_shapes_kwargs(HOT_SPOTS, on, key, frame),
        )
        layer.editable = False
        self._viewer.add_layer(layer)

    def _image(self, key: str | None) -> Image | None:
        layers = (layer for layer in self._viewer.layers if str(layer.unique_id) == key)
        return next(layers, None)

    def _shapes(self, what: str, key: str, frame: tuple[int, ...] | None = None) -> Shapes | None:
        """The regions of a frame, of the one in sight by default."""
        of = self.frame(key) if frame is None else frame
        for layer in self._viewer.layers:
            mine = layer.metadata.get(ours.METADATA_KEY)
            if not isinstance(mine, dict):
                continue
            is_it = (mine.get(REGIONS_KEY), mine.get(REGIONS_OF_KEY)) == (what, key)
            if is_it and tuple(mine.get(FRAME_KEY, ())) == of:
                return layer
        return None


def _shapes_kwargs(what: str, on: Image, key: str, frame: tuple[int, ...]) -> dict[str, Any]:
    """How shapes are placed on an image, and the metadata that identifies them."""
    width = max(1.0, max(on.data.shape[-2:]) / 320)
    return {
        "face_color": "transparent",
        "edge_width": width if what == BREASTS else width / 2,
        "opacity": 1.0,
        "metadata": {
            ours.METADATA_KEY: {REGIONS_KEY: what, REGIONS_OF_KEY: key, FRAME_KEY: list(frame)}
        },
        **plane_transform(on),
    }


def _decimate(outline: NDArray[np.float64], corners: int) -> NDArray[np.float64]:
    """Simplify an outline to about this number of corners, at least three."""
    step = max(1, len(outline) // corners)
    thin = outline[::step]
    return thin if len(thin) >= 3 else outline


def _names(layer: Shapes) -> list[str]:
    names = layer.features.get("region")
    return [""] * len(layer.data) if names is None else [str(name) for name in names]


def _by_side(
    drawn: list[NDArray[np.float64]], names: list[str]
) -> dict[Side, NDArray[np.float64]]:
    """Return the outlines by side: by their names, otherwise by their positions."""
    named: list[Side | None] = [
        next((side for side in SIDES if name.startswith(side)), None) for name in names
    ]
    if None not in named and len(set(named)) == len(drawn):
        return {
            side: outline for side, outline in zip(named, drawn, strict=True) if side is not None
        }
    if len(drawn) == 1:
        return {named[0] or "right": drawn[0]}
    first, second = sorted(drawn, key=lambda outline: float(outline[:, 1].mean()))
    return {"right": first, "left": second}
