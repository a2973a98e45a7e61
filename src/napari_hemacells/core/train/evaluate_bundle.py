"""A model bundle's figures on a folder of crops that it has not learned from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.evaluate.class_folders import measure_features
from napari_hemacells.core.evaluate.classification_metrics import compute_classification_metrics
from napari_hemacells.core.evaluate.two_levels import level_metrics
from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.train.classifier.crop_store import (
    estimate_crop_geometry,
    load_examples_steps,
)
from napari_hemacells.core.train.classifier.dataset import read_examples
from napari_hemacells.core.train.classifier.units import split_units
from napari_hemacells.core.train.progress import TrainingReport
from napari_hemacells.core.types import Embeddings, Prediction

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.annotate import Palette
    from napari_hemacells.core.encode import Encoder
    from napari_hemacells.core.image.plane_selection import PlaneSelection
    from napari_hemacells.core.store import Bundle
    from napari_hemacells.core.train.classifier.crop_store import LoadedExamples
    from napari_hemacells.core.train.classifier.dataset import Examples

BATCH = 64
MEMORY_MB = 512
N_SYMMETRIES = 8  # a square turned and mirrored, without resampling


@dataclass(frozen=True)
class BundleEvaluation:
    """What a bundle says of a folder.

    Attributes
    ----------
    probabilities
        ``(n, k)`` of each picture, columns as ``classes``.
    left_out
        Pictures of classes that the model does not know, by class.
    """

    figures: dict[str, Any]
    classes: tuple[str, ...]
    loaded: LoadedExamples
    probabilities: NDArray[np.float64]
    left_out: dict[str, int]


def evaluate_bundle_steps(
    bundle: Bundle,
    source: Path,
    encoder: Encoder,
    *,
    tta: int = 0,
    memory_mb: int = MEMORY_MB,
    selection: PlaneSelection = WHOLE_PICTURE,
    label_pattern: str = "",
    two_levels: bool = False,
) -> Generator[TrainingReport, None, BundleEvaluation]:
    """Return the figures of a bundle on a folder or CSV of crops; yield after each batch.

    Class folders are matched with the model's classes by name, in any case of letters. Pictures
    are framed as those of the training were. Of a model with classes within kinds there are also
    the figures of the kinds, and those within each (:func:`.level_metrics`); pictures that have a
    kind alone take part in the former.

    Parameters
    ----------
    tta
        Turned and mirrored copies, up to 7, whose probabilities are averaged with the crop's own.
    selection
        The plane of stacks, and the channels.
    label_pattern, two_levels
        As of :func:`.read_examples`.

    Raises
    ------
    TrainingError
        No picture, or none of a class that the model knows, or a model of one class.
    """
    head = bundle.head
    names = {cell_class.id: cell_class.name for cell_class in bundle.palette}
    classes = tuple(names[class_id] for class_id in head.class_ids)
    if len(classes) < 2:
        raise TrainingError(
            f"The model knows one class alone ({', '.join(classes)}): there is nothing to tell "
            "apart, and no accuracy. Fit it with two classes or more."
        )
    given = read_examples(source, label_pattern, two_levels=two_levels)
    examples, left_out = _match_classes(given, bundle.palette, classes)
    frame = estimate_crop_geometry(examples, bundle.spec.size, bundle.spec.context, selection)
    frame = frame.with_thermal_display(bundle.spec.degrees, bundle.spec.palette)
    loaded = yield from load_examples_steps(examples, frame, memory_mb)
    measured = measure_features(
        [example.path for example in loaded.examples.items], bundle.encoder, frame.reading
    )
    n, k = len(loaded.examples), len(classes)
    probabilities = np.zeros((n, k))
    for start in range(0, n, BATCH):
        places = np.arange(start, min(start + BATCH, n), dtype=np.int64)
        crops = loaded.crops[places]
        for turn in range(1 + min(tta, N_SYMMETRIES - 1)):
            vectors = encoder.encode(np.ascontiguousarray(_symmetry_view(crops, turn)))
            vectors = np.concatenate([vectors, measured[places]], axis=1)
            embeddings = Embeddings(places, vectors, bundle.encoder, bundle.spec, "")
            probabilities[places] += head.predict(embeddings).probabilities
        yield TrainingReport(int(places[-1]) + 1, n, "Classifying", phase="validate")
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    groups = (
        split_units(loaded.examples.items, loaded.digests) if loaded.examples.grouped else None
    )
    labels = [example.label for example in loaded.examples.items]
    figures = _figures(labels, probabilities, classes, groups, bundle)
    return BundleEvaluation(figures, classes, loaded, probabilities, left_out)


def _figures(
    labels: list[str],
    probabilities: NDArray[np.float64],
    classes: tuple[str, ...],
    groups: Sequence[str] | None,
    bundle: Bundle,
) -> dict[str, Any]:
    """Return the figures of the classes; of two levels, those of the kinds and within them too."""
    known = [row for row, label in enumerate(labels) if label in classes]
    truth = np.array([classes.index(labels[row]) for row in known], dtype=np.int64)
    own_groups = None if groups is None else [groups[row] for row in known]
    kind_names, chances = bundle.palette.kind_names, probabilities[known]
    if not kind_names:
        return compute_classification_metrics(truth, chances, classes, groups=own_groups)
    kinds = tuple(kind_names[name] for name in classes)
    answer = Prediction(np.array(known), classes, chances.astype(np.float32), kinds=kinds)
    figures = compute_classification_metrics(
        truth, chances, classes, groups=own_groups, predicted=answer.predicted_column
    )
    return figures | level_metrics(labels, probabilities, classes, kind_names, groups=groups)


def _match_classes(
    examples: Examples, palette: Palette, classes: tuple[str, ...]
) -> tuple[Examples, dict[str, int]]:
    """Return the pictures of classes that the model knows, under its names, and the others.

    What is known of a picture may be a kind alone.
    """
    by_name = {name.casefold(): name for name in classes}
    kinds = {palette.kind_names.get(name, name) for name in classes}
    for label in examples.classes:
        found = palette.by_name(label)
        if found is None:
            continue
        for name in (found.name, palette.kind_of(found.id).name):
            if name in classes or name in kinds:
                by_name.setdefault(label.casefold(), name)
    kept = tuple(
        replace(example, label=by_name[example.label.casefold()])
        for example in examples.items
        if example.label.casefold() in by_name
    )
    unknown = {
        name: count for name, count in examples.counts.items() if name.casefold() not in by_name
    }
    if not kept:
        raise TrainingError(
            f"The model knows {', '.join(classes)}; {examples.source} has none of these classes, "
            f"but {', '.join(unknown) or 'no picture at all'}."
        )
    return replace(examples, items=kept), unknown


def _symmetry_view(crops: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """Return the crops turned by quarters, and mirrored from the fifth on."""
    mirrored = crops[:, :, ::-1] if turn >= N_SYMMETRIES // 2 else crops
    return np.rot90(mirrored, turn % 4, axes=(1, 2))
