"""Network, optimiser and running mean of one fine-tuning; their state is a checkpoint.

Imports torch: import this module inside functions.

What the detector is trained on: focal loss for centres, GIoU for boxes, BCE for foreground.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from napari_hemacells.core.detect.learned.network import boxes_of, normalise
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.detector.dataloader import collate
from napari_hemacells.core.train.ema import ModelEma
from napari_hemacells.core.train.trainer import descend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_hemacells.core.detect.learned.network import CellNet, Maps
    from napari_hemacells.core.train.detector.dataloader import Crop

BOX_SHARE, FOREGROUND_SHARE = 3.0, 1.0


def detection_loss(maps: Maps, batch: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the parts of the loss and their ``total``."""
    _, heat, trust, boxes, weight, foreground, inside = batch
    parts = {
        "heat": focal_loss(maps.heat.float(), heat, trust),
        "box": box_loss(boxes_of(maps.sides.float()), boxes, weight),
        "foreground": _foreground_loss(maps.foreground.float(), foreground, inside),
    }
    shares = {"heat": 1.0, "box": BOX_SHARE, "foreground": FOREGROUND_SHARE}
    parts["total"] = sum((shares[name] * part for name, part in parts.items()), torch.zeros(()))
    return parts


def focal_loss(logits: torch.Tensor, target: torch.Tensor, trust: torch.Tensor) -> torch.Tensor:
    """Return CenterNet's focal loss a cell (Zhou et al. 2019), absence weighed by `trust`."""
    log_present, missed = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    chance = logits.sigmoid()
    centre = target >= 0.999
    positive = -log_present * (1 - chance) ** 2 * centre
    negative = -missed * chance**2 * (1 - target) ** 4 * ~centre * trust
    return (positive.sum() + negative.sum()) / centre.sum().clamp(min=1)


def box_loss(boxes: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return 1 − GIoU (Rezatofighi et al. 2019), the weighted mean over cells."""
    picked = weight > 0
    a, b = boxes.movedim(2, -1)[picked], target.movedim(2, -1)[picked]
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    both = (high - low).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - both
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(1)
    giou = both / union.clamp(min=1e-3) - (hull - union) / hull.clamp(min=1e-3)
    share = weight[picked]
    return ((1 - giou) * share).sum() / share.sum().clamp(min=1)


def _foreground_loss(
    logits: torch.Tensor, target: torch.Tensor, inside: torch.Tensor
) -> torch.Tensor:
    each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (each * inside).sum() / inside.sum().clamp(min=1)


FROZEN_BLOCKS = 2  # and the stem: edges and colours, which other stains share
BACKBONE_RATE_FACTOR = 0.4  # of the rate, for what ImageNet taught
EMA_DECAY = 0.98  # of the running mean; a few hundred steps are few
WARM_UP, LAST_RATE = 0.1, 0.02
WEIGHT_DECAY = 0.02


class DetectorLearner:
    """One network on its way.

    Parameters
    ----------
    steps
        Steps of the whole training: the rate rises over the first tenth, then falls as a cosine.
    """

    def __init__(self, network: CellNet, *, steps: int, rate: float, device: str) -> None:
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = ModelEma(network, EMA_DECAY)
        self.step, self._steps, self._rate = 0, steps, rate
        self._device = device
        self._optimiser = torch.optim.AdamW(groups(network, rate), weight_decay=WEIGHT_DECAY)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, self._factor)

    def learn(self, crops: list[Crop]) -> dict[str, float]:
        """Do one step; return the parts of the loss.

        Raises
        ------
        TrainingError
            The loss is not a number.
        RuntimeError
            Out of memory, among others; nothing has changed then.
        """
        losses: dict[str, float] = {}
        descend(self._loss(crops, losses), self._optimiser, self.network, self._invalid_loss)
        self._schedule.step()
        self.step += 1
        return losses

    def _loss(self, crops: list[Crop], losses: dict[str, float]) -> Iterator[torch.Tensor]:
        """Yield the loss of a batch, and write down its parts."""
        train_mode(self.network)
        batch = [part.to(self._device) for part in collate(crops)]
        parts = detection_loss(self.network(normalise(batch[0])), batch)
        losses.update({name: float(part.item()) for name, part in parts.items()})
        yield parts["total"]

    def _invalid_loss(self) -> TrainingError:
        return TrainingError(
            f"At step {self.step + 1} the loss was not a number any more: use a lower "
            f"learning rate than {self._rate:g}."
        )

    def state(self) -> dict[str, Any]:
        """Tensors and plain values, for a checkpoint."""
        return {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.tensors,
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        for name, value in state["average"].items():
            self.average.tensors[name].copy_(value)
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])

    def _factor(self, step: int) -> float:
        warm = min(1.0, (step + 1) / max(1.0, WARM_UP * self._steps))
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, step / self._steps)))
        return warm * (LAST_RATE + (1 - LAST_RATE) * fall)


def groups(network: CellNet, rate: float, frozen: int = FROZEN_BLOCKS) -> list[dict[str, Any]]:
    """Return the parameters: what ImageNet taught moves slower, its first blocks not at all."""
    network.stem.requires_grad_(requires_grad=False)
    for block in network.blocks[:frozen]:
        block.requires_grad_(requires_grad=False)
    old = list(network.blocks[frozen:].parameters())
    kept = {id(value) for part in (network.stem, network.blocks) for value in part.parameters()}
    new = [parameter for parameter in network.parameters() if id(parameter) not in kept]
    return [{"params": old, "lr": BACKBONE_RATE_FACTOR * rate}, {"params": new, "lr": rate}]


def train_mode(network: CellNet) -> None:
    """Train, but keep ImageNet's batch statistics: eight crops are too few for new ones."""
    network.train()
    network.stem.eval()
    network.blocks.eval()
