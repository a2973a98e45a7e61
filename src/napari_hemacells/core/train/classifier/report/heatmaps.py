"""Heat maps of the highest losses, by the network that was asked. Imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.store import load_bundle
from napari_hemacells.core.train.classifier.gradcam import gradcam_maps
from napari_hemacells.core.train.classifier.report.galleries import (
    N_HEATMAPS,
    jpeg_data_uri,
    overlay_heatmap,
)

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.core.train.classifier.report.galleries import ReportCrops
    from napari_hemacells.core.train.classifier.results import CropPrediction, EvaluationResults


def gradcam_uris(found: EvaluationResults, crops: ReportCrops) -> dict[str, str]:
    """Return ``data:`` addresses of heat maps, for the predicted class, by name of the picture.

    Raises
    ------
    TrainingError
        pytorch-grad-cam is not installed.
    BundleError
        The model cannot be read, or is none that has maps.
    """
    asked: dict[int, list[CropPrediction]] = {}
    for one in found.highest_losses(N_HEATMAPS):
        if crops[one.path] is not None:
            asked.setdefault(one.fold, []).append(one)
    pictures: dict[str, str] = {}
    for fold, items in asked.items():
        folder = found.folder / f"fold{fold}" if fold else found.folder
        pictures |= _gradcam_uris_of_model(folder / "model", items, crops)
    return pictures


def _gradcam_uris_of_model(
    model: Path, items: list[CropPrediction], crops: ReportCrops
) -> dict[str, str]:
    """Return the heat maps of the pictures that one network was asked about."""
    bundle = load_bundle(model)
    names = {one.id: one.name for one in bundle.palette}
    classes = [names[one] for one in bundle.head.class_ids]
    seen = [(one, crop) for one in items if (crop := crops[one.path]) is not None]
    heat = gradcam_maps(
        bundle.make_encoder("cpu"),
        bundle.head,
        np.stack([crop for _, crop in seen]),
        np.array([classes.index(one.predicted) for one, _ in seen], dtype=np.int64),
    )
    pairs = zip(seen, heat, strict=True)
    return {one.name: jpeg_data_uri(overlay_heatmap(crop, warm)) for (one, crop), warm in pairs}
