"""A fine-tuned detector's file: weights, limits, and what they were made of. Imports torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.detect.learned.model import DetectionThresholds, load_model
from napari_hemacells.core.detect.learned.network import ARCHITECTURE
from napari_hemacells.core.files.fsio import atomic_path

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.core.detect.learned.network import CellNet
    from napari_hemacells.core.train.ema import Tensors

BUNDLED = "bundled detector"


@dataclass(frozen=True, eq=False)
class InitialDetector:
    """The detector that a training begins with."""

    network: CellNet
    limits: DetectionThresholds
    name: str
    sha256: str


def load_initial_detector(file: Path | None) -> InitialDetector:
    """Return the detector of a file, the bundled one for None.

    Raises
    ------
    EncoderError
        The file is missing or not a detector of this version.
    """
    if file is None:
        with as_file(files("napari_hemacells") / "weights" / "detector.safetensors") as bundled:
            return _load_named(bundled, BUNDLED)
    return _load_named(file, file.name)


def _load_named(file: Path, name: str) -> InitialDetector:
    model = load_model(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return InitialDetector(model.network, model.limits, name, digest)


def save_weights(
    file: Path, tensors: Tensors, limits: DetectionThresholds, about: dict[str, Any]
) -> str:
    """Write weights in half precision with their header; return the file's SHA-256.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    from safetensors.torch import save

    halves = {
        name: value.half().contiguous()
        for name, value in tensors.items()
        if value.is_floating_point()
    }
    rules = {
        "scores": list(limits.scores),
        "overlap": limits.overlap,
        "overlap_of_kinds": limits.overlap_of_kinds,
    }
    header = {
        "architecture": ARCHITECTURE,
        "limits": json.dumps(rules),
        "seen": format_training_data(about),
        "trained": json.dumps(about, ensure_ascii=False),
    }
    content = save(halves, metadata=header)
    with atomic_path(file) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def format_training_data(about: dict[str, Any]) -> str:
    """Return, in words, what a fine-tuned detector has been trained on."""
    names = [image["name"] for image in about["images"] if image["learned"]]
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"{shown}; before that, what the {about['start']['name']} has seen"
