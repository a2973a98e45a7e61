"""One step of SimCLR on a network of which a part learns. Imports torch.

Two views of each crop, that must be recognised as the same cell. Imports torch and lightly.

Which part of an encoder learns, and on what. Imports torch: use inside functions only.
"""

from __future__ import annotations

import copy
import math
import random
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from napari_hemacells.core.encode.network import NetworkEncoder, StageFeatures
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.selfsupervised.config import LIGHTLY_MISSING
from napari_hemacells.core.train.trainer import descend

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.encode.protocol import Encoder


class SimCLRViews:
    """Pairs of views by lightly's SimCLR transform (Chen et al. 2020, arXiv 2002.05709).

    Milder than for photographs, where 8 % of a picture still shows what it is: at least 40 % of
    the crop, no grey pictures and little hue, because the stain's colour tells the classes.

    Parameters
    ----------
    size
        Side of the views.
    mean, std
        Of the encoder's pictures in 0 to 1.
    """

    def __init__(self, size: int, mean: Sequence[float], std: Sequence[float]) -> None:
        self._view = _lightly("transforms").SimCLRTransform(
            input_size=size,
            cj_prob=0.8,
            cj_strength=0.5,
            cj_hue=0.1,
            min_scale=0.4,
            random_gray_scale=0.0,
            gaussian_blur=0.3,
            sigmas=(0.1, 1.5),
            hf_prob=0.5,
            vf_prob=0.5,
            rr_prob=0.5,
            normalize={"mean": list(mean), "std": list(std)},
        )

    def pair(self, crops: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return two ``(n, 3, size, size)`` normalised views of ``(n, side, side, 3)`` crops."""
        made = [self._view(Image.fromarray(crop)) for crop in crops]
        first, second = zip(*made, strict=True)
        return torch.stack(first), torch.stack(second)


def ntxent(temperature: float) -> Any:
    """Return SimCLR's loss, lightly's."""
    return _lightly("loss").NTXentLoss(temperature=temperature)


def seed_step(seed: int, step: int) -> None:
    """Begin the random numbers of a step, so that a training that goes on draws the same views."""
    mixed = int(np.random.SeedSequence([seed, step]).generate_state(1)[0])
    torch.manual_seed(mixed)
    random.seed(mixed)
    np.random.seed(mixed)  # noqa: NPY002  # lightly's blur draws from it


def _lightly(part: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"lightly.{part}")
    except ImportError as error:
        raise TrainingError(LIGHTLY_MISSING) from error


PROJECTION_DIM = 128
PROJECTION_RATE_FACTOR = 10.0  # the projection, which starts from nothing, learns so much faster
DECAY = 1e-4


class SimCLRLearner:
    """A network, a projection after it, and what makes them learn.

    Parameters
    ----------
    network
        ``(n, 3, size, size)`` to ``(n, dim)``.
    names
        Its weights that learn; the others, and what batch normalisation knows of ImageNet and
        blood, stay as they are.
    dim
        Numbers of its vectors.
    rate
        Of the network's weights, at the start; falls to nothing along half a cosine.
    own_statistics
        Whether batch normalisation measures anew: for a network that starts from nothing.
    """

    def __init__(
        self,
        network: Any,
        names: Collection[str],
        dim: int,
        *,
        steps: int,
        rate: float,
        temperature: float,
        device: str = "cpu",
        own_statistics: bool = False,
    ) -> None:
        self.network = network.to(device).train(own_statistics)
        self.names, self.steps, self.rate, self.device = list(names), steps, rate, device
        taught = set(self.names)
        for name, value in self.network.named_parameters():
            value.requires_grad_(name in taught)
        self.projection = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, PROJECTION_DIM)
        ).to(device)
        own = [parameter for name, parameter in self.network.named_parameters() if name in taught]
        groups = [{"params": own}, {"params": list(self.projection.parameters())}]
        self.optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=DECAY)
        self.loss = ntxent(temperature).to(device)
        self.step = 0

    def learn(self, first: torch.Tensor, second: torch.Tensor) -> float:
        """Return the loss of a batch of pairs, after one step down from it."""
        falling = 0.5 * (1 + math.cos(math.pi * self.step / self.steps))
        for group, factor in zip(
            self.optimizer.param_groups, (1.0, PROJECTION_RATE_FACTOR), strict=True
        ):
            group["lr"] = self.rate * factor * falling
        loss = descend(
            self._loss(first, second),
            self.optimizer,
            self.network,
            lambda: TrainingError("The loss is not a number any more: choose a smaller rate."),
            max_norm=None,
        )
        self.step += 1
        return loss

    def _loss(self, first: torch.Tensor, second: torch.Tensor) -> Iterator[torch.Tensor]:
        views = torch.cat([first, second]).to(self.device)
        projected, other = self.projection(self.network(views)).chunk(2)
        yield self.loss(projected, other)

    def changed(self) -> dict[str, torch.Tensor]:
        """Return the weights that learn, by name."""
        own = self.network.state_dict()
        return {name: own[name].detach().cpu().clone() for name in self.names}

    def state(self) -> dict[str, Any]:
        """As tensors and plain values, for a checkpoint."""
        return {
            "step": self.step,
            "changed": self.changed(),
            "projection": self.projection.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.step = state["step"]
        self.network.load_state_dict(state["changed"], strict=False)
        self.projection.load_state_dict(state["projection"])
        self.optimizer.load_state_dict(state["optimizer"])


TRAINABLE_STAGES = 2  # stages of the network that learn; what is common to all pictures stays
WHOLE_CROP = 128


def trainable_copy(encoder: Encoder) -> Any:
    """Return a copy of an encoder's network to be taught, in full precision, as it is used.

    Raises
    ------
    TrainingError
        The encoder is no network.
    """
    from napari_hemacells.core.encode.blood_network import BloodFeatures

    if not isinstance(encoder, NetworkEncoder):
        raise TrainingError(f"{encoder.info.name} is no network: there is nothing to teach.")
    if isinstance(encoder.network, BloodFeatures):
        return _without_rotation_averaging(encoder)
    return copy.deepcopy(encoder.network)


def input_side(encoder: Encoder) -> int:
    """Return the side in pixels of the pictures that the network works on."""
    known = encoder.info.preprocessing
    side = known.get("size") or known.get("readout", {}).get("size") or WHOLE_CROP
    return int(side)


def trainable_parameter_names(network: Any) -> list[str]:
    """Return the names of the weights that learn: those of the last stages.

    Raises
    ------
    TrainingError
        The network is of a kind of which it is not known.
    """
    own = [name for name, _ in network.named_parameters()]
    if isinstance(network, StageFeatures):
        count = len(network.blocks)
        heads = [f"blocks.{index}." for index in range(count - TRAINABLE_STAGES, count)] + [
            "embed."
        ]
        return [name for name in own if name.startswith(tuple(heads))]
    model = getattr(network, "model", None)
    if model is None or not hasattr(model, "group_matcher"):
        raise TrainingError("It is not known which part of this encoder comes last.")
    from timm.models import group_parameters

    groups = group_parameters(model, model.group_matcher(coarse=True))
    return [f"model.{name}" for key in sorted(groups)[-TRAINABLE_STAGES:] for name in groups[key]]


def _without_rotation_averaging(encoder: NetworkEncoder) -> Any:
    """Return the bundled network without its mean over turns: views are turned anyway."""
    import timm

    from napari_hemacells.core.encode.blood_network import BloodFeatures, Readout
    from napari_hemacells.core.encode.builtin import ARCHITECTURE

    readout = {**encoder.info.preprocessing["readout"], "turns": 1}
    make = partial(timm.create_model, ARCHITECTURE, pretrained=False)
    network = BloodFeatures(make, Readout(**readout))
    network.load_state_dict(encoder.network.state_dict())
    return network.to(encoder.device)
