"""What a step is fed with: augmented pictures, or kept answers of a frozen body. Imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from napari_hemacells.core.train.classifier.augment import Mixer, augment
from napari_hemacells.core.train.progress import TrainingReport

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from napari_hemacells.core.encode.finetuned.config import NetworkPlan
    from napari_hemacells.core.encode.finetuned.network import Classifier
    from napari_hemacells.core.train.classifier.config import ClassifierConfig
    from napari_hemacells.core.train.classifier.crop_store import CropStore

EVAL_BATCH = 64


class BatchSource(Protocol):
    """Inputs of the crops at some places, and the network's answer to inputs."""

    def training_batch(self, places: NDArray[np.int64], targets: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs to learn from, with their targets."""

    def check(self, places: NDArray[np.int64]) -> Tensor:
        """Inputs as they are."""

    def predict_logits(self, inputs: Tensor) -> Tensor:
        """``(n, classes)`` logits."""


class CropBatches:
    """Crops on the device, normalised; to learn from, augmented and mixed.

    Parameters
    ----------
    network
        What answers; it may be wrapped for several devices.
    """

    def __init__(
        self,
        crops: CropStore,
        network: nn.Module,
        *,
        plan: NetworkPlan,
        recipe: ClassifierConfig,
        classes: int,
        device: torch.device,
    ) -> None:
        self._crops, self._network, self._recipe, self._device = crops, network, recipe, device
        self._mix = Mixer(recipe, classes)
        self._mean = torch.tensor(plan.mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(plan.std, device=device).view(1, 3, 1, 1)

    def training_batch(self, places: NDArray[np.int64], targets: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs to learn from, with their targets."""
        images, targets = self._mix(augment(self._raw(places), self._recipe), targets)
        return self._normal(images), targets

    def check(self, places: NDArray[np.int64]) -> Tensor:
        """Inputs as they are."""
        return self._normal(self._raw(places))

    def augmented_batch(self, places: NDArray[np.int64]) -> Tensor:
        """Inputs augmented, not mixed."""
        return self._normal(augment(self._raw(places), self._recipe))

    def predict_logits(self, inputs: Tensor) -> Tensor:
        """``(n, classes)`` logits."""
        logits: Tensor = self._network(inputs)
        return logits

    def _raw(self, places: NDArray[np.int64]) -> Tensor:
        pixels = torch.from_numpy(self._crops[places]).to(self._device)
        return pixels.permute(0, 3, 1, 2).float() / 255

    def _normal(self, images: Tensor) -> Tensor:
        normal = (images - self._mean) / self._std
        return normal.contiguous(memory_format=torch.channels_last)


class CachedFeatures:
    """Pooled answers of a frozen body to several views of each crop.

    Parameters
    ----------
    views
        ``(views, n, channels)``; the first is the crop as it is.
    """

    def __init__(self, views: Tensor, network: Classifier) -> None:
        self._views, self._network = views, network

    def training_batch(self, places: NDArray[np.int64], targets: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs to learn from: a view of each crop, drawn at random."""
        where = torch.from_numpy(places).to(self._views.device)
        view = torch.randint(len(self._views), (len(places),), device=self._views.device)
        return self._views[view, where], targets

    def check(self, places: NDArray[np.int64]) -> Tensor:
        """Inputs as they are."""
        return self._views[0, torch.from_numpy(places).to(self._views.device)]

    def predict_logits(self, inputs: Tensor) -> Tensor:
        """``(n, classes)`` logits."""
        return self._network.decide(self._network.embedder.neck(inputs))


def cache_features_steps(
    pictures: CropBatches, network: Classifier, train: NDArray[np.int64], n: int, *, views: int
) -> Generator[TrainingReport, None, CachedFeatures]:
    """Return a frozen body's answers to all `n` crops, and to views of those to learn from."""
    network.eval()
    every = np.arange(n, dtype=np.int64)
    rounds = [every] + [train] * views
    total, done = sum(map(len, rounds)), 0
    kept: Tensor | None = None
    for view, places in enumerate(rounds):
        for start in range(0, len(places), EVAL_BATCH):
            batch = places[start : start + EVAL_BATCH]
            with torch.inference_mode():
                inputs = pictures.check(batch) if view == 0 else pictures.augmented_batch(batch)
                pooled = network.embedder.pool(network.embedder.trunk(inputs)).float()
            if kept is None:
                kept = torch.zeros(1 + views, n, pooled.shape[1], device=pooled.device)
            kept[view, torch.from_numpy(batch).to(kept.device)] = pooled.clone()
            done += len(batch)
            yield TrainingReport(done, total, "Looking at the crops once", phase="start")
    if kept is None:
        kept = torch.zeros(1 + views, 0, 1)
    return CachedFeatures(kept, network)
