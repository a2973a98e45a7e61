"""What learns a classifier's batches, on one device or on several. Imports torch.

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
from napari_hemacells.core.train.classifier.schedule import train_mode
from napari_hemacells.core.train.trainer import descend, until_it_fits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from napari_hemacells.core.encode.finetuned.network import Classifier
    from napari_hemacells.core.train.classifier.config import ClassifierConfig, Precision
    from napari_hemacells.core.train.classifier.dataloader import BatchSource


def seed_torch(*parts: int) -> None:
    """Seed torch on every device from these numbers: the same ones give the same chance."""
    torch.manual_seed(int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1))


def make_accelerator(recipe: ClassifierConfig) -> Accelerator:
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


class ClassifierTrainStep:
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
        recipe: ClassifierConfig,
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
        self, places: NDArray[np.int64], feed: BatchSource, optimiser: Any, *, shared: bool = True
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
        return until_it_fits(
            lambda: self.attempt(places, feed, optimiser, shared=shared), self.halve
        )

    def attempt(
        self, places: NDArray[np.int64], feed: BatchSource, optimiser: Any, *, shared: bool = True
    ) -> float:
        """Return the loss of a batch, as :meth:`learn`, but raise where it does not fit."""
        own = self._own_part(places) if shared else places
        return descend(
            self._losses(own, feed),
            optimiser,
            self.network,
            lambda: nan_loss_error(optimiser),
            backward=self.accelerator.backward,
        )

    def halve(self, error: BaseException) -> None:
        """Take half as many crops through the network at once.

        Raises
        ------
        TrainingError
            There is no room even for two.
        """
        if self.portion <= 2:
            raise TrainingError(
                "The memory is not large enough, even for two crops at once: choose smaller "
                "crops or a smaller network, or close other programs."
            ) from error
        self.portion = max(2, self.portion // 2)

    def loss(self, places: NDArray[np.int64], feed: BatchSource) -> Tensor:
        """Return the loss of some crops, with its gradient."""
        targets = self._targets[torch.from_numpy(places)].to(self.accelerator.device)
        inputs, wanted = feed.training_batch(places, targets)
        with self.accelerator.autocast():
            logits = feed.predict_logits(inputs)
        return nnf.cross_entropy(
            logits.float(), wanted, self._weights, label_smoothing=self.recipe.smoothing
        )

    def _losses(self, places: NDArray[np.int64], feed: BatchSource) -> Iterator[Tensor]:
        """Yield the loss of each portion, weighed by its share of the batch."""
        train_mode(self.network)
        for part in np.array_split(places, -(-len(places) // self.portion)):
            yield self.loss(part, feed) * (len(part) / len(places))

    def _own_part(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        if self.accelerator.num_processes == 1:
            return places
        with self.accelerator.split_between_processes(places, apply_padding=True) as own:
            return np.asarray(own, dtype=np.int64)


@torch.inference_mode()
def eval_logits(
    places: NDArray[np.int64], feed: BatchSource, network: nn.Module, accelerator: Accelerator
) -> Tensor:
    """``(m, classes)`` float32 logits on the CPU of crops as they are."""
    network.eval()
    with accelerator.autocast():
        logits = feed.predict_logits(feed.check(places))
    return logits.float().cpu()


def nan_loss_error(optimiser: Any) -> TrainingError:
    """Return the sentence for a loss that is none."""
    rate = max(float(group["lr"]) for group in optimiser.param_groups)
    return TrainingError(
        f"The loss is not a number any more: the learning rate {rate:.1g} is too high here. Start "
        f"again with --rate {rate / 10:.0e}, or in precision fp32."
    )


def _precision(recipe: ClassifierConfig, device: str) -> Precision:
    if recipe.precision != "auto":
        return recipe.precision
    return "bf16" if device == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
