"""Small pictures for the report: crops as the network saw them, with heat over them.

Crops that a reader should look at.
"""

from __future__ import annotations

import base64
import io
from dataclasses import fields
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_hemacells.core.crop import from_picture, to_bytes
from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.image.plane_selection import PlaneSelection
from napari_hemacells.core.image.reading_options import ReadingOptions
from napari_hemacells.core.train.classifier.report.text import Gallery, GalleryCrop
from napari_hemacells.core.types import CropSpec
from napari_hemacells.core.types.image import BitDepth

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
        How they were read and cut: the frame of the training's record.
    """

    def __init__(self, frame: Mapping[str, Any]) -> None:
        self._spec = CropSpec(**{field.name: frame[field.name] for field in fields(CropSpec)
                                 if field.name in frame})  # fmt: skip
        self._reading = frame_reading(frame)
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
            pixels = self._reading.read_pixels(path)
        except (ImageError, OSError):
            return None
        return to_bytes(from_picture(pixels, self._spec, framing=self._framing))


def frame_reading(frame: Mapping[str, Any]) -> ReadingOptions:
    """Return how the pictures of a training were read: scale of values, plane, channels."""
    channels = ",".join(map(str, frame.get("channels", ())))
    selection = PlaneSelection.parse(frame.get("plane") or None, channels or None)
    depths = tuple(BitDepth(**depth) for depth in frame.get("bit_depths", ()))
    return ReadingOptions(depths, selection)


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


SHOWN, SUSPECTED, OF_CLASS = 14, 28, 4
MOST_CLASSES = 30  # with lists of their own
NOTHING = "There are none."


class PictureList(NamedTuple):
    """Pictures of the judged part under a heading.

    Attributes
    ----------
    kinds
        What each picture is there for; empty where the heading says it.
    """

    title: str
    note: str
    items: tuple[CropPrediction, ...]
    kinds: tuple[str, ...] = ()


def picture_lists(results: EvaluationResults) -> list[PictureList]:
    """Return the pictures that teach most about the network: of all classes, then of each."""
    lists = [
        PictureList("Highest losses", "", results.highest_losses(SHOWN)),
        PictureList("Most certain and wrong", "", results.most_certain(right=False, n=SHOWN)),
        PictureList("Most certain and right", "", results.most_certain(right=True, n=SHOWN)),
        PictureList(
            "Most uncertain",
            "The two likeliest classes are closest to each other.",
            results.most_uncertain(SHOWN),
        ),
    ]
    for label in results.classes[:MOST_CLASSES]:
        worst, best, uncertain = results.of_class(label, OF_CLASS)[1:]
        kinds = [("worst", worst), ("best", best), ("uncertain", uncertain)]
        lists.append(
            PictureList(
                f"{label}: worst, best, most uncertain",
                "",
                (*worst, *best, *uncertain),
                tuple(kind for kind, items in kinds for _ in items),
            )
        )
    return lists


def build_galleries(
    results: EvaluationResults, crops: ReportCrops, heat: Mapping[str, str], why: str
) -> list[Gallery]:
    """Return the crops that teach most about the network, as the page shows them.

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
    galleries = []
    for index, listed in enumerate(picture_lists(results)):
        note = " ".join(part for part in (listed.note, looked if index == 0 else "") if part)
        shots = _shots(listed.items, crops, heat, listed.kinds)
        galleries.append(Gallery(listed.title, note if listed.items else NOTHING, shots))
    return galleries


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
    items: Sequence[CropPrediction],
    crops: ReportCrops,
    heat: Mapping[str, str],
    kinds: Sequence[str] = (),
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
            kind=kinds[index] if kinds else "",
        )
        for index, item in enumerate(items)
    )
