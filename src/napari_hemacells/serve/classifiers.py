"""The models that the page offers: what each has seen, and what it says of a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.annotate.palette import UNKNOWN_COLOUR
from napari_hemacells.core.store.joint_table import group_name
from napari_hemacells.core.store.report import data_uri
from napari_hemacells.core.types import UNKNOWN, Cells, Embeddings, Prediction, SmearImage
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.classify import Head
    from napari_hemacells.core.encode import Encoder
    from napari_hemacells.core.params import DeviceName
    from napari_hemacells.core.store import Bundle

CELL = 1  # number of the only cell of a picture
_DIGITS = 6
_HEAT_FLOOR = 0.15  # below it, heat is not drawn


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A saved model, ready to be asked.

    Attributes
    ----------
    id
        By which the page names it: never a path.
    """

    id: str
    bundle: Bundle
    device: DeviceName = "auto"

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder, loaded on first use.

        Raises
        ------
        BundleError, EncoderError
            It is not on this computer, or not the one that the model was made with.
        """
        from napari_hemacells.core.store import check_compatible

        encoder = self.bundle.make_encoder(self.device)
        check_compatible(self.bundle, encoder.info, self.bundle.spec)
        return encoder

    @cached_property
    def head(self) -> Head:
        """The head of the model."""
        return self.bundle.head

    def describe(self) -> dict[str, Any]:
        """Return what the page says about the model."""
        from napari_hemacells.core.store import describe_learned_from

        bundle = self.bundle
        counts = bundle.training_counts
        return {
            "id": self.id,
            "name": bundle.name,
            "created": bundle.created[:10],
            "classes": [
                {
                    "name": cell_class.name,
                    "colour": cell_class.colour,
                    "learned": counts[cell_class.id],
                }
                for cell_class in bundle.palette
            ],
            "learned_from": describe_learned_from(bundle),
            "seen": bundle.encoder.seen or "not stated",
            "encoder": bundle.encoder.name,
            "tells_unknown": self.head.novelty is not None,
            "heat": self._heat_words(),
        }

    def classify(self, image: SmearImage) -> dict[str, Any]:
        """Return what the model says of a picture that is one cell, as plain JSON.

        Raises
        ------
        HemaCellsError
            The picture is too large to be one cell, or of another kind than the model's.
        """
        from napari_hemacells.core.encode import embed_steps
        from napari_hemacells.core.store import check_modality, other_kind_warning

        bundle = self.bundle
        check_modality(bundle, image.modality)
        cells = self._cells(image)
        embeddings: Embeddings = run_to_end(
            embed_steps(image, cells, bundle.spec, self.encoder, like=bundle.encoder)
        )
        answer = self._answer(self.head.predict(embeddings))
        notes = [*image.notes, other_kind_warning(bundle, whole=True)]
        return {
            **answer,
            "group": group_name(image.groups),
            "picture": data_uri(_display(image)),
            "size": f"{image.shape[1]} × {image.shape[0]} pixels",
            "notes": [note for note in notes if note],
        }

    def heat(self, image: SmearImage) -> dict[str, Any]:
        """Return a picture of the crop with the parts that spoke for its class, as plain JSON.

        Raises
        ------
        HemaCellsError
            As :meth:`classify`.
        """
        from napari_hemacells.core.crop import extract_crops, to_bytes
        from napari_hemacells.core.encode import embed_steps
        from napari_hemacells.core.store import check_modality

        bundle = self.bundle
        check_modality(bundle, image.modality)
        cells = self._cells(image)
        crops = to_bytes(extract_crops(image, cells, bundle.spec, [CELL]))
        embeddings: Embeddings = run_to_end(
            embed_steps(image, cells, bundle.spec, self.encoder, like=bundle.encoder)
        )
        column = int(self.head.predict(embeddings).predicted_column[0])
        heat = self._heat_of(crops, embeddings, column)
        name = bundle.palette.by_id(self.head.class_ids[column]).name
        return {
            "heat": data_uri(_tinted(crops[0], heat)),
            "words": f"{self._heat_words()} Class asked about: {name}.",
        }

    def _cells(self, image: SmearImage) -> Cells:
        """Return the picture as one cell, framed as those that the model learned from."""
        from napari_hemacells.core.pictures import whole_picture

        learned = self.bundle.learned_from
        whole = learned is not None and learned.kind in {"pictures", "both"}
        return whole_picture(image, learned.context if learned is not None and whole else None)

    def _answer(self, prediction: Prediction) -> dict[str, Any]:
        palette = self.bundle.palette
        chances = prediction.probabilities[0].tolist()
        alone = len(prediction.class_ids) == 1  # that its probability is 1 says nothing
        classes = [
            {
                "name": palette.by_id(class_id).name,
                "colour": palette.by_id(class_id).colour,
                "p": None if alone else round(chance, _DIGITS),
            }
            for class_id, chance in zip(prediction.class_ids, chances, strict=True)
        ]
        order = {
            name: index for index, name in enumerate(cell_class.name for cell_class in palette)
        }
        nearest = classes[int(prediction.predicted_column[0])]
        unknown = bool(prediction.verdict[0])
        far = None if prediction.unknown is None else float(prediction.unknown[0])
        return {
            "class": UNKNOWN if unknown else nearest["name"],
            "colour": UNKNOWN_COLOUR if unknown else nearest["colour"],
            "is_unknown": unknown,
            "nearest": nearest["name"],
            "confidence": nearest["p"],
            "unknown": None if far is None or not math.isfinite(far) else round(far, _DIGITS),
            "classes": sorted(classes, key=lambda cell_class: order[str(cell_class["name"])]),
        }

    @property
    def _finetuned(self) -> bool:
        return bool(self.bundle.encoder_tensors) and self.head.kind == "linear"

    def _heat_words(self) -> str:
        if self._uses_gradients:
            return "Grad-CAM: what in the picture spoke for the class."
        return "Occlusion: where covering the picture weakens the class most."

    @property
    def _uses_gradients(self) -> bool:
        from importlib.util import find_spec

        return self._finetuned and find_spec("pytorch_grad_cam") is not None

    def _heat_of(
        self, crops: NDArray[np.uint8], embeddings: Embeddings, column: int
    ) -> NDArray[np.float32]:
        if self._uses_gradients:
            from napari_hemacells.core.train.classifier.gradcam import gradcam_maps

            maps = gradcam_maps(self.encoder, self.head, crops, np.array([column]))
            return np.asarray(maps[0], dtype=np.float32)
        from napari_hemacells.core.classify.occlusion import occlusion_map

        return occlusion_map(_WithMeasured(self.encoder, embeddings), self.head, crops[0], column)


class _WithMeasured:
    """An encoder whose vectors are followed by what was measured of the uncovered cell."""

    def __init__(self, encoder: Encoder, embeddings: Embeddings) -> None:
        self.info, self.device = encoder.info, encoder.device
        self._encoder = encoder
        self._measured = embeddings.vectors[:, encoder.info.dim :]

    def encode(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``(n, dim)`` vectors."""
        vectors = self._encoder.encode(crops)
        return np.hstack([vectors, np.repeat(self._measured, len(vectors), axis=0)])


def _display(image: SmearImage) -> NDArray[np.uint8]:
    from napari_hemacells.core.store.overlay import display_pixels

    return np.asarray(display_pixels(image), dtype=np.uint8)


def _tinted(crop: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The crop in grey under heat from dark red to yellow; nothing where there is little."""
    from matplotlib import colormaps

    grey = np.repeat(crop.mean(axis=2, keepdims=True), 3, axis=2)
    colours = 255 * colormaps["inferno"](0.25 + 0.75 * heat)[..., :3]
    strength = 0.75 * np.clip((heat - _HEAT_FLOOR) / (1 - _HEAT_FLOOR), 0, 1)[..., np.newaxis]
    mixed = grey * (1 - strength) + colours * strength
    return np.asarray(np.rint(mixed), dtype=np.uint8)


def load_classifiers(folders: Sequence[Path], device: DeviceName) -> list[ServedModel]:
    """Return the models of these folders, their networks loaded.

    Raises
    ------
    BundleError, EncoderError
        One of them cannot be used here.
    """
    from napari_hemacells.core.store import load_bundle

    models = []
    for number, folder in enumerate(folders, start=1):
        model = ServedModel(f"model-{number}", load_bundle(folder), device)
        _ = model.encoder, model.head
        models.append(model)
    return models
