"""One step of learning, on one device or on several. Imports torch.

Accelerate and not Lightning Fabric: of what it needs, all but psutil is here through timm, where
Fabric brings nine packages for the same work, and it imports in a fifth of a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import Accelerator
from torch.nn import functional as nnf

from napari_hemacells.core.encode.device import choose_device
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.classifier.stages import train_mode
from napari_hemacells.core.train.memory import free_gpu_memory, is_out_of_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from napari_hemacells.core.encode.finetuned.network import Classifier
    from napari_hemacells.core.train.classifier.feeds import Feed
    from napari_hemacells.core.train.classifier.recipe import Precision, Recipe

LARGEST_GRADIENT = 5.0


def make_accelerator(recipe: Recipe) -> Accelerator:
    """Return what moves networks to one device or several, in the recipe's precision.

    Raises
    ------
    EncoderError
        The device asked for cannot be used.
    TrainingError
        Another training in this process has settled on another device or precision.
    """
    device = choose_device(recipe.device).name
    kinds = {"fp32": "no", "bf16": "bf16"}
    try:
        return Accelerator(cpu=device == "cpu", mixed_precision=kinds[_precision(recipe, device)])
    except ValueError as error:
        raise TrainingError(
            "This program has trained on another device or in another precision before: start "
            "it again to change that."
        ) from error


class Learner:
    """A network that learns from batches; too large a batch is taken in halves.

    Parameters
    ----------
    targets
        ``(n,)`` class of every crop.
    weights
        ``(classes,)`` what each class counts for in the loss; ``None`` for all the same.

    Attributes
    ----------
    portion
        Crops that go through the network at once. A batch may be several portions, whose
        gradients are added up, so that a smaller portion changes neither schedule nor rate.
    """

    def __init__(
        self,
        network: Classifier,
        accelerator: Accelerator,
        recipe: Recipe,
        targets: NDArray[np.int64],
        weights: NDArray[np.float32] | None = None,
    ) -> None:
        self.network, self.accelerator, self.recipe = network, accelerator, recipe
        self.portion = recipe.batch
        self._targets = torch.from_numpy(targets)
        self._weights = None
        if weights is not None:
            self._weights = torch.from_numpy(weights).to(accelerator.device)

    def learn(
        self, places: NDArray[np.int64], feed: Feed, optimiser: Any, *, shared: bool = True
    ) -> float:
        """Return the loss of a batch, after learning from it.

        Parameters
        ----------
        shared
            Whether several processes take a part of the batch each.

        Raises
        ------
        TrainingError
            The loss is no number any more, or not even two crops fit into the memory.
        """
        own = self._own_part(places) if shared else places
        while True:
            try:
                return self._learn(own, feed, optimiser)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(error)
            optimiser.zero_grad()
            free_gpu_memory()

    def loss(self, places: NDArray[np.int64], feed: Feed) -> Tensor:
        """Return the loss of some crops, with its gradient."""
        targets = self._targets[torch.from_numpy(places)].to(self.accelerator.device)
        inputs, wanted = feed.lesson(places, targets)
        with self.accelerator.autocast():
            logits = feed.answer(inputs)
        return nnf.cross_entropy(
            logits.float(), wanted, self._weights, label_smoothing=self.recipe.smoothing
        )

    def _learn(self, places: NDArray[np.int64], feed: Feed, optimiser: Any) -> float:
        optimiser.zero_grad()
        train_mode(self.network)
        total = 0.0
        for part in np.array_split(places, -(-len(places) // self.portion)):
            loss = self.loss(part, feed) * (len(part) / len(places))
            if not torch.isfinite(loss):
                raise not_a_number(optimiser)
            self.accelerator.backward(loss)
            total += float(loss.detach())
        self.accelerator.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        optimiser.step()
        return total

    def _own_part(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        if self.accelerator.num_processes == 1:
            return places
        with self.accelerator.split_between_processes(places, apply_padding=True) as own:
            return np.asarray(own, dtype=np.int64)

    def _halve(self, error: BaseException) -> None:
        if self.portion <= 2:
            raise TrainingError(
                "The memory is not large enough, even for two crops at once: choose smaller "
                "crops or a smaller network, or close other programs."
            ) from error
        self.portion = max(2, self.portion // 2)


@torch.inference_mode()
def logits_of(
    places: NDArray[np.int64], feed: Feed, network: nn.Module, accelerator: Accelerator
) -> Tensor:
    """``(m, classes)`` float32 logits on the CPU of crops as they are."""
    network.eval()
    with accelerator.autocast():
        logits = feed.answer(feed.check(places))
    return logits.float().cpu()


def not_a_number(optimiser: Any) -> TrainingError:
    """Return the sentence for a loss that is none."""
    rate = max(float(group["lr"]) for group in optimiser.param_groups)
    return TrainingError(
        f"The loss is not a number any more: the learning rate {rate:.1g} is too high here. Start "
        f"again with --rate {rate / 10:.0e}, or in precision fp32."
    )


def _precision(recipe: Recipe, device: str) -> Precision:
    if recipe.precision != "auto":
        return recipe.precision
    return "bf16" if device == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
