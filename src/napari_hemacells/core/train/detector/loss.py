"""What the detector is trained on: focal loss for centres, GIoU for boxes, BCE for foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from napari_hemacells.core.detect.learned.network import boxes_of

if TYPE_CHECKING:
    from napari_hemacells.core.detect.learned.network import Maps

BOX_SHARE, FOREGROUND_SHARE = 3.0, 1.0


def loss_of(maps: Maps, batch: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the parts of the loss and their ``total``."""
    _, heat, trust, boxes, weight, foreground, inside = batch
    parts = {
        "heat": focal(maps.heat.float(), heat, trust),
        "box": box_loss(boxes_of(maps.sides.float()), boxes, weight),
        "foreground": _foreground(maps.foreground.float(), foreground, inside),
    }
    shares = {"heat": 1.0, "box": BOX_SHARE, "foreground": FOREGROUND_SHARE}
    parts["total"] = sum((shares[name] * part for name, part in parts.items()), torch.zeros(()))
    return parts


def focal(logits: torch.Tensor, target: torch.Tensor, trust: torch.Tensor) -> torch.Tensor:
    """Return CenterNet's focal loss a cell (Zhou et al. 2019), absence weighed by `trust`."""
    found, missed = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    chance = logits.sigmoid()
    centre = target >= 0.999
    positive = -found * (1 - chance) ** 2 * centre
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


def _foreground(logits: torch.Tensor, target: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (each * inside).sum() / inside.sum().clamp(min=1)
