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
from napari_hemacells.core.image import read_pixels
from napari_hemacells.core.train.classifier.report.text import Gallery, GalleryCrop
from napari_hemacells.core.types import CropSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from napari_hemacells.core.train.classifier.results import (
        CropPrediction,
        EvaluationResults,
        Suspect,
    )

SIDE = 112  # of a picture on the page; sharp enough on paper
QUALITY = 85
MAX_OPACITY, OPACITY_GAMMA = 0.85, 0.8  # how much of the crop the heat hides at most, and how soon


class ReportCrops:
    """The crops of a training, read again from where they lie.

    Parameters
    ----------
    frame
        How they were cut: the spec's parts and ``framing`` of the training's record.
    """

    def __init__(self, frame: Mapping[str, Any]) -> None:
        self._spec = CropSpec(**{key: frame[key] for key in frame if key != "framing"})
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
        return "" if crop is None else jpeg_data_uri(crop)

    def _read(self, path: Path) -> NDArray[np.uint8] | None:
        try:
            pixels = read_pixels(path)
        except (ImageError, OSError):
            return None
        return to_bytes(from_picture(pixels, self._spec, framing=self._framing))


def jpeg_data_uri(crop: NDArray[np.uint8]) -> str:
    """Return a crop as a small JPEG in a ``data:`` address."""
    from PIL import Image

    picture = Image.fromarray(crop)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def overlay_heatmap(crop: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """``(size, size, 3)`` the crop in grey under its heat: nothing where cold, yellow where hot.

    In grey, because the heat's violet is the stain's too. The colours get lighter all the way, so
    that they can be told apart with any colour vision and in a print without colour.
    """
    from matplotlib import colormaps

    grey = crop.mean(axis=2, keepdims=True)
    colour = colormaps["plasma"](heat)[..., :3] * 255
    share = MAX_OPACITY * heat[..., np.newaxis] ** OPACITY_GAMMA
    mixed = (1 - share) * grey + share * colour
    return np.asarray(mixed.round(), dtype=np.uint8)


SHOWN, N_HEATMAPS, SUSPECTED = 14, 12, 28
NOTHING = "There are none."


def build_galleries(
    results: EvaluationResults, crops: ReportCrops, heat: Mapping[str, str], why: str
) -> list[Gallery]:
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
    kinds: tuple[tuple[str, str, Sequence[CropPrediction], Mapping[str, str]], ...] = (
        ("Highest losses", looked, results.highest_losses(N_HEATMAPS), heat),
        ("Most certain and wrong", "", results.most_certain(right=False, n=SHOWN), {}),
        ("Most certain and right", "", results.most_certain(right=True, n=SHOWN), {}),
        (
            "Most uncertain",
            "The two likeliest classes are closest to each other.",
            results.most_uncertain(SHOWN),
            {},
        ),
    )
    return [
        Gallery(title, note if items else NOTHING, _shots(items, crops, maps))
        for title, note, items, maps in kinds
    ]


def suspect_gallery(listed: Sequence[Suspect], crops: ReportCrops, note: str) -> Gallery:
    """Return the labels that may be wrong: those that are flagged, the worst first."""
    flagged = [suspect for suspect in listed if suspect.flagged]
    shots = tuple(
        GalleryCrop(
            uri=crops.uri(suspect.path),
            name=file_basename(suspect.name),
            given=suspect.label,
            said=f"{suspect.suggested}?",
            figure=f"{suspect.confidence:.2f}",
            wrong=True,
        )
        for suspect in flagged[:SUSPECTED]
    )
    return Gallery("Labels that may be wrong", note, shots)


def file_basename(name: str) -> str:
    """Return the file without the folders that led to it."""
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _shots(
    items: Sequence[CropPrediction], crops: ReportCrops, heat: Mapping[str, str]
) -> tuple[GalleryCrop, ...]:
    return tuple(
        GalleryCrop(
            uri=crops.uri(item.path),
            name=file_basename(item.name),
            given=item.label,
            said=item.predicted,
            figure=f"{item.confidence:.2f}",
            heat=heat.get(item.name, ""),
            wrong=not item.right,
        )
        for item in items
    )
