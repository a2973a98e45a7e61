"""What a trained network says of crops: logits, averaged over copies, and vectors. Torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_hemacells.core.train.classifier.feeds import CHECK_BATCH, Pictures
from napari_hemacells.core.train.classifier.finder import seeded
from napari_hemacells.core.train.reports import TrainingReport

if TYPE_CHECKING:
    from collections.abc import Generator

    from accelerate import Accelerator
    from numpy.typing import NDArray

    from napari_hemacells.core.encode.finetuned.network import Classifier

COPIES_SEED = 7919


@dataclass(frozen=True, eq=False)
class Answers:
    """What the network says of some crops.

    Attributes
    ----------
    places
        ``(m,)`` which crops.
    logits
        ``(m, k)`` float32 of the crops as they are.
    vectors
        ``(m, dim)`` float32 before the last layer.
    copies
        ``(copies, m, k)`` logits of augmented copies.
    """

    places: NDArray[np.int64]
    logits: NDArray[np.float32]
    vectors: NDArray[np.float32]
    copies: NDArray[np.float32]

    def probabilities(self, temperature: float = 1.0) -> NDArray[np.float64]:
        """``(m, k)`` probabilities of the crops as they are."""
        return _softmax(self.logits, temperature)

    def averaged(self, temperature: float = 1.0) -> NDArray[np.float64]:
        """``(m, k)`` mean probabilities of the crops and their augmented copies."""
        every = [self.probabilities(temperature)]
        every += [_softmax(one, temperature) for one in self.copies]
        return np.asarray(np.mean(every, axis=0))


def answer_steps(
    network: Classifier,
    pictures: Pictures,
    places: NDArray[np.int64],
    accelerator: Accelerator,
    *,
    copies: int = 0,
    seed: int = 0,
) -> Generator[TrainingReport, None, Answers]:
    """Return what the network says; yield after each batch."""
    network.eval()
    seeded(seed, COPIES_SEED)
    batches = [places[at : at + CHECK_BATCH] for at in range(0, len(places), CHECK_BATCH)]
    said: list[list[torch.Tensor]] = [[] for _ in range(1 + copies)]
    vectors: list[torch.Tensor] = []
    for done, batch in enumerate(batches):
        with torch.inference_mode(), accelerator.autocast():
            for view in range(1 + copies):
                inputs = pictures.other_view(batch) if view else pictures.check(batch)
                embedded = network.embedder(inputs)
                said[view].append(network.decide(embedded).float().cpu())
                if view == 0:
                    vectors.append(embedded.float().cpu())
        yield TrainingReport(done + 1, len(batches), "Looking at the result", phase="end")
    k, dim = network.classes, network.embedder.dim
    logits = np.stack([_joined(one, k) for one in said])
    return Answers(places, logits[0], _joined(vectors, dim), logits[1:])


def _joined(parts: list[torch.Tensor], width: int) -> NDArray[np.float32]:
    whole = torch.cat(parts) if parts else torch.zeros(0, width)
    return np.asarray(whole.numpy(), dtype=np.float32)


def _softmax(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    from scipy.special import softmax

    return np.asarray(softmax(logits.astype(np.float64) / temperature, axis=1))
