"""Several annotators' points, their consensus and their disagreements as Points layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.layers import Points

from napari_hemacells import layers as ours
from napari_hemacells.core.annotate.palette import CLASS_COLOURS
from napari_hemacells.widgets.canvas import sight
from napari_hemacells.widgets.canvas.markers import remove_soon
from napari_hemacells.widgets.canvas.sight import plane_transform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.widgets.canvas.layer_catalog import LayerCatalog, LayerChoice

ROLES: dict[ours.Role, str] = {
    "annotators": "Annotators",
    "consensus": "Consensus",
    "disagreements": "Disagreements",
}
_KEPT, _DOUBTFUL = "#ffffff", "#ffd100"
_LEAST_DOT = 6.0  # pixels
_CLEAR = "#00000000"


def annotator_colour(number: int) -> str:
    """Return an annotator's colour, told apart with any common colour blindness."""
    return CLASS_COLOURS[number % len(CLASS_COLOURS)]


class AnnotatorLayers:
    """The three layers of a consensus in a viewer.

    Parameters
    ----------
    catalog
        The viewer's layers.
    """

    def __init__(self, catalog: LayerCatalog) -> None:
        self._catalog = catalog
        self._viewer = catalog.viewer

    def point_layers(self) -> list[LayerChoice]:
        """The user's own Points layers, the uppermost first."""
        return [choice for choice in self._catalog.cell_sources() if choice.kind == "points"]

    def read_points(self, key: str, image_key: str) -> list[tuple[float, float, str]]:
        """Row, column and class of each point of a layer, in pixels of the image.

        The class is that of the column ``class``, ``label`` or ``state`` of its features.
        """
        layer, on = self._catalog.layer(key), self._catalog.find("image", image_key)
        if layer is None or on is None or not len(layer.data):
            return []
        places = sight.to_image_pixels(layer, on, np.asarray(layer.data))
        features = layer.features
        column = next((n for n in features if str(n).casefold() in _CLASS_COLUMNS), None)
        names = [""] * len(places) if column is None else features[column].astype(str).tolist()
        return [(row, col, name) for (row, col), name in zip(places.tolist(), names, strict=True)]

    def show(
        self,
        image_key: str,
        points: tuple[NDArray[np.float64], Sequence[str]],
        candidates: pd.DataFrame,
        size: float,
    ) -> None:
        """Show the points, each in its colour, and the candidates with what is known of them.

        Parameters
        ----------
        points
            ``(n, 2)`` positions and the colour of each.
        candidates
            Of this image: ``row``, ``column``, ``kept``, ``open`` (disagreed on) and what a
            feature of the points shall say.
        size
            Of a cell, in pixels of the image.
        """
        active = self._viewer.layers.selection.active
        positions, colours = points
        kept, doubtful = candidates[candidates["kept"]], candidates[candidates["open"]]
        for role, table, style in (
            ("consensus", kept, {"border_color": _KEPT, "symbol": "disc", "size": size}),
            ("disagreements", doubtful,
             {"border_color": _DOUBTFUL, "symbol": "square", "size": 1.25 * size}),
        ):  # fmt: skip
            places = table[["row", "column"]].to_numpy(dtype=float)
            look = {"face_color": _CLEAR, "border_width": 0.06, **style}
            features = table.drop(columns=["row", "column", "open"]).reset_index(drop=True)
            self._put(role, image_key, places, look, features)  # type: ignore[arg-type]
        # On top: the points are small, and the rings are around them.
        self._put("annotators", image_key, positions, {
            "face_color": list(colours), "border_color": "black", "border_width": 0.08,
            "size": max(size / 4, _LEAST_DOT), "symbol": "disc",
        })  # fmt: skip
        if active in self._viewer.layers:
            self._viewer.layers.selection.active = active

    def look_at(self, row: float, col: float) -> None:
        """Centre the canvas on a position of the image."""
        layer = self._catalog.find("disagreements")
        if layer is not None:
            place = layer.data_to_world((row, col))
            # napari 0.9 moved the camera to the scene
            camera = getattr(self._viewer, "scene", self._viewer).camera
            camera.center = (0.0, *(float(value) for value in place[-2:]))

    def clear(self) -> None:
        """Remove the three layers."""
        for role in ROLES:
            layer = self._catalog.find(role)
            if isinstance(layer, Points):
                remove_soon(self._viewer, layer)

    def _put(
        self,
        role: ours.Role,
        image_key: str,
        places: NDArray[np.float64],
        look: dict[str, Any],
        features: pd.DataFrame | None = None,
    ) -> None:
        layer = self._catalog.find(role, image_key)
        if not isinstance(layer, Points):
            self._remove_others(role)
            layer = self._add(role, image_key)
        places = places.reshape(-1, 2)
        with layer.events.blocker_all():
            layer.selected_data = set()
            layer.data = places
            layer.features = (
                pd.DataFrame(index=range(len(places))) if features is None else features
            )
            if len(places):
                for name, value in look.items():
                    one_for_all = name.endswith("color") and isinstance(value, str)
                    setattr(layer, name, [value] * len(places) if one_for_all else value)
        layer.refresh(thumbnail=False, extent=True)
        layer.events.data(value=layer.data, action="changed")

    def _remove_others(self, role: ours.Role) -> None:
        other = self._catalog.find(role)
        if isinstance(other, Points):
            remove_soon(self._viewer, other)

    def _add(self, role: ours.Role, image_key: str) -> Points:
        on = self._catalog.find("image", image_key)
        layer = Points(
            np.zeros((0, 2)),
            name=ROLES[role],
            metadata=ours.role_metadata(role, image_key),
            **({} if on is None else plane_transform(on)),
        )
        self._viewer.add_layer(layer)
        layer.editable = False
        return layer


_CLASS_COLUMNS = ("class", "label", "state", "type")
