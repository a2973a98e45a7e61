"""Small pictures for the report: crops as the network saw them, with heat over them.

Crops that a reader should look at.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.crop import from_picture, to_bytes
from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.image import read_image
from napari_hemacells.core.train.classifier.report.text import Gallery, Shot
from napari_hemacells.core.types import CropSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from napari_hemacells.core.train.classifier.results import Findings, Item, Suspect

SIDE = 112  # of a picture on the page; sharp enough on paper
QUALITY = 85
STRONGEST, RISE = 0.85, 0.8  # how much of the crop the heat hides at most, and how soon


class Crops:
    """The crops of a training, read again from where they lie.

    Parameters
    ----------
    frame
        How they were cut: the spec's parts and ``framing`` of the training's record.
    """

    def __init__(self, frame: Mapping[str, Any]) -> None:
        self._spec = CropSpec(**{one: frame[one] for one in frame if one != "framing"})
        self._framing = float(frame["framing"])
        self._kept: dict[Path, NDArray[np.uint8] | None] = {}

    def __getitem__(self, path: Path) -> NDArray[np.uint8] | None:
        """``(size, size, 3)`` crop; None where the file has gone since."""
        if path not in self._kept:
            self._kept[path] = self._read(path)
        return self._kept[path]

    def uri(self, path: Path) -> str:
        """Return the crop as ``data:`` address; empty where the file has gone since."""
        crop = self[path]
        return "" if crop is None else small(crop)

    def _read(self, path: Path) -> NDArray[np.uint8] | None:
        try:
            pixels = np.asarray(read_image(path).pixels)
        except (ImageError, OSError):
            return None
        return to_bytes(from_picture(pixels, self._spec, framing=self._framing))


def small(crop: NDArray[np.uint8]) -> str:
    """Return a crop as a small JPEG in a ``data:`` address."""
    from PIL import Image

    picture = Image.fromarray(crop)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def heated(crop: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """``(size, size, 3)`` the crop in grey under its heat: nothing where cold, yellow where hot.

    In grey, because the heat's violet is the stain's too. The colours get lighter all the way, so
    that they can be told apart with any colour vision and in a print without colour.
    """
    from matplotlib import colormaps

    grey = crop.mean(axis=2, keepdims=True)
    colour = colormaps["plasma"](heat)[..., :3] * 255
    share = STRONGEST * heat[..., np.newaxis] ** RISE
    mixed = (1 - share) * grey + share * colour
    return np.asarray(mixed.round(), dtype=np.uint8)


SHOWN, HEATED, SUSPECTED = 14, 12, 28
NOTHING = "There are none."


def galleries(found: Findings, crops: Crops, heat: Mapping[str, str], why: str) -> list[Gallery]:
    """Return the crops that taught most about the network.

    Parameters
    ----------
    heat
        ``data:`` addresses of heat maps by name of the picture.
    why
        Why there is no heat map, if there is none.
    """
    looked = why or (
        "Beside each, where the network looked for the class it named (Grad-CAM): yellow spoke "
        "most for it."
    )
    kinds: tuple[tuple[str, str, Sequence[Item], Mapping[str, str]], ...] = (
        ("Highest losses", looked, found.highest_losses(HEATED), heat),
        ("Most certain and wrong", "", found.most_certain(right=False, n=SHOWN), {}),
        ("Most certain and right", "", found.most_certain(right=True, n=SHOWN), {}),
        (
            "Most uncertain",
            "The two likeliest classes are closest to each other.",
            found.most_uncertain(SHOWN),
            {},
        ),
    )
    return [
        Gallery(title, note if items else NOTHING, _shots(items, crops, maps))
        for title, note, items, maps in kinds
    ]


def suspects(listed: Sequence[Suspect], crops: Crops, note: str) -> Gallery:
    """Return the labels that may be wrong: those that are flagged, the worst first."""
    flagged = [one for one in listed if one.flagged]
    shots = tuple(
        Shot(
            uri=crops.uri(one.path),
            name=short(one.name),
            given=one.label,
            said=f"{one.suggested}?",
            figure=f"{one.confidence:.2f}",
            wrong=True,
        )
        for one in flagged[:SUSPECTED]
    )
    return Gallery("Labels that may be wrong", note, shots)


def short(name: str) -> str:
    """Return the file without the folders that led to it."""
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _shots(items: Sequence[Item], crops: Crops, heat: Mapping[str, str]) -> tuple[Shot, ...]:
    return tuple(
        Shot(
            uri=crops.uri(one.path),
            name=short(one.name),
            given=one.label,
            said=one.predicted,
            figure=f"{one.confidence:.2f}",
            heat=heat.get(one.name, ""),
            wrong=not one.right,
        )
        for one in items
    )
