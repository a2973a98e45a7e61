"""The network with its class heads, and the loss, for training the encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from pytorch_metric_learning.losses import SupConLoss
from torch import nn
from torch.nn import functional as nnf

from encoder_cells import FINE, GROUPS, PBC_FINE, SOURCES, UNKNOWN
from napari_hemacells.core.detect.learned.metadata import KINDS
from napari_hemacells.core.encode.blood_network import COMMON, LAST
from napari_hemacells.core.encode.builtin import imagenet_backbone
from napari_hemacells.core.encode.network import StageFeatures

if TYPE_CHECKING:
    from torch import Tensor

    from encoder_cells import CellSet

SIGMA = 0.4  # of the window around the centre, as in the encoder
FROZEN = COMMON  # keep ImageNet's filters: half of the time, and all of their edges
EMBEDDING = 128
SHARPNESS = 16.0  # of the softmax over cosines
SMOOTHING = 0.1
TEMPERATURE = 0.15
STYLE_SHARE = 0.5
RED = GROUPS.index("red cell")
# for each source: which head is asked, among which of its classes, with which weight
TASKS = (
    (("group", slice(0, RED), 1.0), ("fine", slice(0, len(PBC_FINE)), 0.7)),
    (("fine", slice(len(PBC_FINE), len(FINE)), 1.5),),
    (("kind", slice(0, len(KINDS)), 1.0),),
)


class Answers(NamedTuple):
    """Output of the network for a batch: ``(n, EMBEDDING)`` unit vectors and cosines."""

    embedding: Tensor
    kind: Tensor
    group: Tensor
    fine: Tensor


class Labels(NamedTuple):
    """Annotations of a batch: ``(n,)`` indices, UNKNOWN where not annotated."""

    kind: Tensor
    group: Tensor
    fine: Tensor
    source: Tensor


class Pupil(nn.Module):
    """EfficientNet-Lite0 up to its last stage, an embedding, and cosine classifiers on it."""

    def __init__(self, *, style: bool = True) -> None:
        super().__init__()
        backbone = imagenet_backbone()
        self.features = StageFeatures(backbone, (LAST,), SIGMA)
        width = 2 * backbone.blocks[LAST][-1].bn3.num_features
        self.norm = nn.BatchNorm1d(width, affine=False)
        self.embed = nn.Linear(width, EMBEDDING, bias=False)
        self.kind, self.group, self.fine = (
            nn.Linear(EMBEDDING, len(names), bias=False) for names in (KINDS, GROUPS, FINE)
        )
        self.style = style

    def forward(self, images: Tensor) -> Answers:
        """Return the output for ``(n, 3, size, size)`` normalised images."""
        with torch.no_grad():
            maps = self.features.stem(images)
            for block in self.features.blocks[:FROZEN]:
                maps = block(maps)
            if self.training and self.style:
                maps = other_style(maps)
        for block in self.features.blocks[FROZEN:]:
            maps = block(maps)
        pooled = torch.cat(self.features.pool(maps), dim=1)
        embedding = nnf.normalize(self.embed(self.norm(pooled)))
        cosines = (
            nnf.linear(embedding, nnf.normalize(head.weight))
            for head in (self.kind, self.group, self.fine)
        )
        return Answers(embedding, *cosines)


def other_style(maps: Tensor) -> Tensor:
    """Return maps of which half has part of the statistics of another image.

    MixStyle (Zhou et al. 2021), between random images of the batch.
    """
    mean = maps.mean((2, 3), keepdim=True)
    deviation = maps.std((2, 3), keepdim=True) + 1e-5
    share = torch.distributions.Beta(0.2, 0.2).sample((len(maps), 1, 1, 1)).to(maps)
    share = share * (torch.rand(len(maps), 1, 1, 1, device=maps.device) < STYLE_SHARE)
    other = torch.randperm(len(maps), device=maps.device)
    plain = (maps - mean) / deviation
    return plain * deviation.lerp(deviation[other], share) + mean.lerp(mean[other], share)


class Loss(nn.Module):
    """Cross-entropy at three levels of classes, and supervised contrast of their clusters.

    Cells are compared only with cells of the same source. Otherwise the network learns to tell
    classes by the look of a laboratory: with red cells from one and white cells from another, a
    white cell of a third laboratory became a red cell (measured; see the model card).
    """

    def __init__(self, contrast: float = 0.5) -> None:
        super().__init__()
        self._contrast = contrast
        self._supcon = SupConLoss(temperature=TEMPERATURE)

    def forward(self, answers: Answers, labels: Labels) -> Tensor:
        """Return the loss; unknown annotations do not count."""
        total = answers.embedding.sum() * 0
        for source, task in enumerate(TASKS):
            own = labels.source == source
            if not own.any():
                continue
            share = own.float().mean()
            of_source = Labels(*(column[own] for column in labels))
            for head, columns, weight in task:
                cosines = getattr(answers, head)[own][:, columns]
                target = getattr(of_source, head) - columns.start
                total = total + weight * share * _entropy(cosines, target)
            cluster = clusters(of_source)
            known = cluster != UNKNOWN
            if self._contrast and known.sum() > 2:
                contrast = self._supcon(answers.embedding[own][known], cluster[known])
                total = total + self._contrast * share * contrast
        return total


def clusters(labels: Labels) -> Tensor:
    """Return the clusters: groups of PBC, types of red cells, kinds of BCCD."""
    of_kind = torch.where(labels.source == SOURCES.index("bccd"), labels.kind, UNKNOWN)
    of_group = torch.where(labels.group < RED, labels.group, UNKNOWN)
    of_fine = torch.where(labels.fine >= len(PBC_FINE), labels.fine, UNKNOWN)
    return torch.where(
        labels.source == 0, of_group, torch.where(labels.source == 1, of_fine, of_kind)
    )


def shares(cells: CellSet, of_source: tuple[float, float, float] = (0.62, 0.23, 0.15)) -> Tensor:
    """Return ``(n,)`` sampling weights: sources as stated, rare classes more often."""
    label = torch.from_numpy(cells.group * len(FINE) + cells.fine + cells.kind * 1000)
    _, place, count = label.unique(return_inverse=True, return_counts=True)
    weight = count[place].double() ** -0.75
    source = torch.from_numpy(cells.source)
    for number, share in enumerate(of_source):
        own = source == number
        if own.any():
            weight[own] *= share / weight[own].sum()
    return weight


def _entropy(cosines: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of the cells whose target is one of the columns."""
    known = (target >= 0) & (target < cosines.shape[1])
    if not known.any():
        return cosines.sum() * 0
    return nnf.cross_entropy(SHARPNESS * cosines[known], target[known], label_smoothing=SMOOTHING)
