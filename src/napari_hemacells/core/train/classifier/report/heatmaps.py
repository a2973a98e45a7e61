"""Heat maps of the pictures in a report, by the network that was asked. Imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.store import load_bundle
from napari_hemacells.core.train.classifier.gradcam import gradcam_maps
from napari_hemacells.core.train.classifier.report.galleries import (
    jpeg_data_uri,
    overlay_heatmap,
    picture_lists,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.train.classifier.report.galleries import ReportCrops
    from napari_hemacells.core.train.classifier.results import CropPrediction, EvaluationResults


def gradcam_uris(results: EvaluationResults, crops: ReportCrops) -> dict[str, str]:
    """Return ``data:`` addresses of heat maps, for the predicted class, by name of the picture.

    Raises
    ------
    TrainingError
        pytorch-grad-cam is not installed.
    BundleError
        The model cannot be read, or is none that has maps.
    """
    shown = {item.name: item for listed in picture_lists(results) for item in listed.items}
    overlays = gradcam_overlays(results, tuple(shown.values()), crops)
    return {name: jpeg_data_uri(overlay) for name, overlay in overlays.items()}


def gradcam_overlays(
    results: EvaluationResults, items: Sequence[CropPrediction], crops: ReportCrops
) -> dict[str, NDArray[np.uint8]]:
    """Return the crops of these pictures under their heat, by name of the picture.

    Each is ``(size, size, 3)``; the heat is that of the predicted class. Files that have gone are
    left out.

    Raises
    ------
    TrainingError, BundleError
        As :func:`gradcam_uris`.
    """
    asked: dict[int, list[CropPrediction]] = {}
    for item in items:
        if crops[item.path] is not None:
            asked.setdefault(item.fold, []).append(item)
    pictures: dict[str, NDArray[np.uint8]] = {}
    for fold, own in asked.items():
        folder = results.folder / f"fold{fold}" if fold else results.folder
        pictures |= _overlays_of_model(folder / "model", own, crops)
    return pictures


def _overlays_of_model(
    model: Path, items: list[CropPrediction], crops: ReportCrops
) -> dict[str, NDArray[np.uint8]]:
    """Return the heat maps of the pictures that one network was asked about."""
    bundle = load_bundle(model)
    names = {cell_class.id: cell_class.name for cell_class in bundle.palette}
    classes = [names[class_id] for class_id in bundle.head.class_ids]
    seen = [(item, crop) for item in items if (crop := crops[item.path]) is not None]
    heat = gradcam_maps(
        bundle.make_encoder("cpu"),
        bundle.head,
        np.stack([crop for _, crop in seen]),
        np.array([classes.index(item.predicted) for item, _ in seen], dtype=np.int64),
    )
    pairs = zip(seen, heat, strict=True)
    return {item.name: overlay_heatmap(crop, warm) for (item, crop), warm in pairs}
