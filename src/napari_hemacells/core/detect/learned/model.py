"""The learned detector: its weights, thresholds and inference. Imports torch.

Import this module inside functions.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib.resources import as_file, files
from threading import Lock
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from napari_hemacells.core.detect.foreground import is_flat
from napari_hemacells.core.detect.learned.group_norm import (
    NormStatistics,
    collect_norm_statistics,
    use_norm_statistics,
)
from napari_hemacells.core.detect.learned.metadata import STRIDE
from napari_hemacells.core.detect.learned.network import (
    CellNet,
    boxes_of,
    empty_network,
    normalise,
)
from napari_hemacells.core.detect.learned.postprocess import (
    Detections,
    empty_detections,
    find_peaks,
    non_maximum_suppression,
)
from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.files.safe_files import check_readable
from napari_hemacells.core.fused_network import fused_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

Share: TypeAlias = Annotated[float, Field(gt=0, lt=1)]
MULTIPLE = 16  # the network's coarsest stride
KEPT_BYTES = 64 * 2**20  # of maps: a dozen tiles, or all that a field of view needs


@dataclass(frozen=True)
class DetectionThresholds:
    """Detection thresholds, chosen on development fields and stored with the weights.

    Attributes
    ----------
    scores
        Least score of each kind.
    overlap, overlap_of_kinds
        See :func:`~napari_hemacells.core.detect.learned.postprocess.non_maximum_suppression`.
    """

    scores: tuple[float, ...] = (0.35, 0.35, 0.35)
    overlap: float = 0.5
    overlap_of_kinds: float = 0.6

    def with_sensitivity(self, sensitivity: float) -> DetectionThresholds:
        """Return the limits at another sensitivity; 0.5 keeps them, ±0.5 shifts logits by ±2."""
        logits = np.log(np.divide(self.scores, np.subtract(1, self.scores)))
        scores = 1 / (1 + np.exp(-(logits - 4 * (sensitivity - 0.5))))
        return DetectionThresholds(tuple(map(float, scores)), self.overlap, self.overlap_of_kinds)


class DetectorMaps(NamedTuple):
    """What the network says of a picture.

    Attributes
    ----------
    heat, boxes, foreground
        ``(kinds, rows, cols)``, ``(kinds, 4, rows, cols)`` and ``(rows, cols)`` float32.
    features
        ``(channels, rows, cols)`` float16 of the backbone, finest first.
    """

    heat: NDArray[np.float32]
    boxes: NDArray[np.float32]
    foreground: NDArray[np.float32]
    features: tuple[NDArray[np.float16], ...]

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        maps = self.heat.nbytes + self.boxes.nbytes + self.foreground.nbytes
        return maps + sum(part.nbytes for part in self.features)


class MapCache:
    """The network's latest maps, by the picture they are of: another sensitivity costs no run.

    Parameters
    ----------
    limit
        Bytes of maps to keep; the oldest go first.
    """

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self._maps: OrderedDict[bytes, DetectorMaps] = OrderedDict()
        self._lock = Lock()  # detection and point prompts run in two threads

    def get(
        self, picture: NDArray[np.uint8], run: Callable[[NDArray[np.uint8]], DetectorMaps]
    ) -> DetectorMaps:
        """Return the maps of a picture; `run` makes those that are not kept."""
        key = hashlib.sha256(repr(picture.shape).encode())
        key.update(np.ascontiguousarray(picture).data)
        with self._lock:
            maps = self._maps.pop(key.digest(), None)
        if maps is None:
            maps = run(picture)
        with self._lock:
            self._maps[key.digest()] = maps
            while sum(kept.nbytes for kept in self._maps.values()) > self._limit:
                self._maps.popitem(last=False)
        return maps


class DetectorModel:
    """The network with its limits, ready to run.

    Parameters
    ----------
    kept
        Where the latest maps are kept; only for a network whose weights do not change any more.
    """

    def __init__(
        self, network: CellNet, limits: DetectionThresholds, kept: MapCache | None = None
    ) -> None:
        self.network = network.eval().to(memory_format=torch.channels_last)
        self.limits = limits
        self._kept = kept
        self._running = network if kept is None else fused_copy(network)

    def keeping_maps(self) -> DetectorModel:
        """Return the same detector, quicker, which keeps the latest maps of its network."""
        return DetectorModel(self.network, self.limits, MapCache())

    @cached_property
    def identity(self) -> str:
        """16 hexadecimal digits of a hash of the weights and the limits."""
        digest = hashlib.sha256(repr(self.limits).encode())
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def maps(self, picture: NDArray[np.uint8]) -> DetectorMaps:
        """Return what the network says of a ``(rows, cols, 3)`` uint8 picture at scale."""
        rows, cols = (-(-side // MULTIPLE) * MULTIPLE for side in picture.shape[:2])
        with torch.inference_mode():
            full = torch.zeros(1, 3, rows, cols)
            batch = torch.from_numpy(np.array(picture))[None]  # a copy: torch wants to own it
            full[:, :, : picture.shape[0], : picture.shape[1]] = normalise(batch)
            taps = self._running.taps(full.to(memory_format=torch.channels_last))
            maps = self._running.maps_of(taps)
            heat, boxes = maps.heat.sigmoid(), boxes_of(maps.sides)
            foreground = maps.foreground.sigmoid()
            features = tuple(taps[tap][0].half().numpy() for tap in sorted(taps))
            return DetectorMaps(heat[0].numpy(), boxes[0].numpy(), foreground[0].numpy(), features)

    def measure_norms(self, pictures: Iterable[NDArray[np.uint8]]) -> NormStatistics | None:
        """Return the normalisation statistics of pictures of one image; None without pictures."""
        with collect_norm_statistics() as gathered:
            for picture in pictures:
                self.maps(picture)
        return gathered.norms() or None

    def find(
        self,
        picture: NDArray[np.uint8],
        limits: DetectionThresholds,
        norms: NormStatistics | None = None,
    ) -> tuple[Detections, NDArray[np.float32]]:
        """Return the cells of a picture at scale, in its pixels, and the foreground map.

        Parameters
        ----------
        norms
            Statistics of the whole image (:meth:`norms_of`).
        """
        detections, maps = self.find_in_maps(picture, limits, norms)
        if maps is None:
            sides = [-(-side // STRIDE) for side in picture.shape[:2]]
            return detections, np.zeros(sides, np.float32)
        return detections, maps.foreground

    def find_in_maps(
        self,
        picture: NDArray[np.uint8],
        limits: DetectionThresholds,
        norms: NormStatistics | None = None,
    ) -> tuple[Detections, DetectorMaps | None]:
        """Return the cells as :meth:`find` does, and the maps; None for a flat picture."""
        if is_flat(picture):
            return empty_detections(), None
        with use_norm_statistics(norms):
            if self._kept is None or norms is not None:  # those of a large image are not kept
                maps = self.maps(picture)
            else:
                maps = self._kept.get(picture, self.maps)
        detections = find_peaks(maps.heat, maps.boxes, limits.scores)
        kept = non_maximum_suppression(detections, limits.overlap, limits.overlap_of_kinds)
        return kept, maps


@cache
def bundled_model() -> DetectorModel:
    """Return the bundled detector, loaded once.

    Raises
    ------
    EncoderError
        The weights are missing or not those of this network.
    """
    with as_file(files("napari_hemacells") / "weights" / "detector.safetensors") as file:
        return load_model(file).keeping_maps()


def model_for(weights: Path | None) -> DetectorModel:
    """Return the detector of a file, or the bundled one for None; cached until the file changes.

    Raises
    ------
    EncoderError
        The file is missing or not a detector of this version.
    """
    if weights is None:
        return bundled_model()
    try:
        about = weights.stat()
    except OSError as error:
        raise EncoderError(
            f"The detector {weights} cannot be read: choose another file, or the bundled detector."
        ) from error
    return _load_model_cached(weights, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=4)
def _load_model_cached(file: Path, _size: int, _changed: int) -> DetectorModel:
    """Return the detector of a file in this state."""
    return load_model(file).keeping_maps()


def load_model(file: Path) -> DetectorModel:
    """Return the detector of a weights file.

    Raises
    ------
    EncoderError
        The file is missing or not a detector of this version.
    """
    from safetensors import SafetensorError, safe_open

    network = empty_network()
    check_readable(file)
    try:
        with safe_open(file, framework="pt") as stored:
            header = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name).float() for name in stored.keys()}  # noqa: SIM118
        limits = _limits(header)
    except (OSError, SafetensorError, ValueError) as error:
        raise EncoderError(
            f"The detector {file} cannot be read: reinstall the plugin, or choose another file."
        ) from error
    counters = {name for name in network.state_dict() if name.endswith("num_batches_tracked")}
    other_version = EncoderError(
        f"The detector {file} was made by another version: reinstall the plugin, or train it "
        "again."
    )
    try:
        missing, unknown = network.load_state_dict(tensors, strict=False)
    except RuntimeError as error:  # tensors of other shapes
        raise other_version from error
    if unknown or set(missing) - counters:
        raise other_version
    return DetectorModel(network, limits)


class _Limits(BaseModel):
    """The thresholds in the header of a weights file."""

    model_config = ConfigDict(extra="forbid")

    scores: tuple[Share, Share, Share] = (0.35, 0.35, 0.35)
    overlap: Share = DetectionThresholds().overlap
    overlap_of_kinds: Share = DetectionThresholds().overlap_of_kinds


def _limits(header: dict[str, str]) -> DetectionThresholds:
    """Return the thresholds; raises ValueError where they are none."""
    stored = _Limits.model_validate_json(header.get("limits", "{}"))
    return DetectionThresholds(**stored.model_dump())
