"""The network with its class heads, and the loss, for training the encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from pytorch_metric_learning.losses import SupConLoss
from torch import nn
from torch.nn import functional as nnf

from encoder_cells import ATTRIBUTES, FINE, GROUPS, PBC_FINE, SOURCES, UNKNOWN
from napari_hemacells.core.detect.learned.metadata import KINDS
from napari_hemacells.core.encode.blood_network import COMMON, LAST
from napari_hemacells.core.encode.builtin import imagenet_backbone
from napari_hemacells.core.encode.network import StageFeatures

if TYPE_CHECKING:
    from collections.abc import Mapping

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
PBC, CHULA, BCCD, RAABIN, CHULA_WHITE = range(len(SOURCES))
SHARED = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
SHARED_GROUPS = torch.tensor([GROUPS.index(name) for name in SHARED])
# which laboratories answer together, which head is asked, among which of its classes, its weight
TASKS = (
    ((PBC,), "group", slice(0, RED), 1.0),
    ((PBC,), "fine", slice(0, len(PBC_FINE)), 0.7),
    ((CHULA,), "fine", slice(len(PBC_FINE), len(FINE)), 1.5),
    ((PBC, BCCD, RAABIN), "kind", slice(0, len(KINDS)), 1.0),
    ((PBC, RAABIN, CHULA_WHITE), "white", slice(0, len(SHARED)), 1.0),
)
SHARES = {PBC: 0.45, CHULA: 0.15, BCCD: 0.08, RAABIN: 0.17, CHULA_WHITE: 0.15}


class Answers(NamedTuple):
    """Output of the network for a batch: ``(n, EMBEDDING)`` unit vectors, cosines, and more.

    `looks` is the guess at ImageNet's vector of the plain picture, of length 1.
    """

    embedding: Tensor
    kind: Tensor
    group: Tensor
    fine: Tensor
    white: Tensor
    attribute: Tensor
    looks: Tensor


class Labels(NamedTuple):
    """Annotations of a batch: ``(n,)`` indices, UNKNOWN where not annotated."""

    kind: Tensor
    group: Tensor
    fine: Tensor
    source: Tensor
    attributes: Tensor

    @property
    def white(self) -> Tensor:
        """Index into the white cells that the laboratories share."""
        same = self.group[:, None] == SHARED_GROUPS.to(self.group.device)
        return torch.where(same.any(1), same.float().argmax(1), UNKNOWN)


class Pupil(nn.Module):
    """EfficientNet-Lite0 up to its last stage, an embedding, and cosine classifiers on it."""

    def __init__(self, looks: int, *, style: bool = True) -> None:
        super().__init__()
        backbone = imagenet_backbone()
        self.features = StageFeatures(backbone, (LAST,), SIGMA)
        width = 2 * backbone.blocks[LAST][-1].bn3.num_features
        self.norm = nn.BatchNorm1d(width, affine=False)
        self.embed = nn.Linear(width, EMBEDDING, bias=False)
        values = sum(map(len, ATTRIBUTES.values()))
        self.kind, self.group, self.fine, self.white, self.attribute = (
            nn.Linear(EMBEDDING, count, bias=False)
            for count in (len(KINDS), len(GROUPS), len(FINE), len(SHARED), values)
        )
        self.looks = nn.Linear(width, looks)
        self.style = style

    def heads(self) -> tuple[nn.Linear, ...]:
        """Return the cosine classifiers, in the order of :class:`Answers`."""
        return self.kind, self.group, self.fine, self.white, self.attribute

    @torch.no_grad()
    def first(self, images: Tensor) -> Tensor:
        """Return the maps of the frozen first stages of ``(n, 3, size, size)`` images."""
        maps = self.features.stem(images)
        for block in self.features.blocks[:FROZEN]:
            maps = block(maps)
        return maps

    def forward(self, maps: Tensor) -> Answers:
        """Return the output for maps of the first stages."""
        if self.training and self.style:
            maps = other_style(maps)
        for block in self.features.blocks[FROZEN:]:
            maps = block(maps)
        pooled = self.norm(torch.cat(self.features.pool(maps), dim=1))
        embedding = nnf.normalize(self.embed(pooled))
        cosines = (nnf.linear(embedding, nnf.normalize(head.weight)) for head in self.heads())
        return Answers(embedding, *cosines, nnf.normalize(self.looks(pooled)))


@torch.no_grad()
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
    """Cross-entropy at several levels of classes, and supervised contrast of their clusters.

    Cells are compared with cells of another laboratory only for classes that the laboratories
    share, drawn equally often in each. Otherwise the network learns to tell classes by the look of
    a laboratory: with red cells from one and white cells from another, a white cell of a third
    laboratory became a red cell (measured; see the model card).

    Parameters
    ----------
    contrast, attributes, looks
        Weights of supervised contrast, of the eleven attributes together, and of the guess at
        ImageNet's vector of the same cell without augmentation.
    """

    def __init__(self, contrast: float, attributes: float, looks: float) -> None:
        super().__init__()
        self._contrast, self._attributes, self._looks = contrast, attributes, looks
        self._supcon = SupConLoss(temperature=TEMPERATURE)

    def forward(self, answers: Answers, labels: Labels, wanted: Tensor) -> Tensor:
        """Return the loss; unknown annotations do not count.

        `wanted` are the ``(n, looks)`` vectors of length 1 by ImageNet's network.
        """
        total = answers.embedding.sum() * 0
        for sources, head, columns, weight in TASKS:
            asked = torch.isin(labels.source, torch.tensor(sources, device=labels.source.device))
            target = getattr(labels, head) - columns.start
            asked &= (target >= 0) & (target < columns.stop - columns.start)
            cosines = getattr(answers, head)[:, columns]
            total = total + weight * _entropy(cosines, target, asked)
        if self._contrast:
            cluster = clusters(labels)
            for source in range(len(SOURCES)):
                own = labels.source == source
                total = total + self._contrast * self._pull(answers, cluster, own)
            total = total + self._contrast * self._pull(
                answers, labels.white, labels.source != CHULA
            )
        if self._attributes:
            total = total + self._attributes * _attribute_entropy(answers, labels)
        if self._looks:
            total = total + self._looks * (1 - (answers.looks * wanted).sum(1)).mean()
        return total

    def _pull(self, answers: Answers, cluster: Tensor, own: Tensor) -> Tensor:
        """Return the contrast of the cells in `own` with a known cluster, times their share."""
        known = own & (cluster != UNKNOWN)
        if known.sum() < 3:
            return answers.embedding.sum() * 0
        loss: Tensor = self._supcon(answers.embedding[known], cluster[known])
        return loss * known.float().mean()


def clusters(labels: Labels) -> Tensor:
    """Return the clusters: groups of white cells, types of red cells, else kinds."""
    of_group = torch.where(labels.group < RED, labels.group, UNKNOWN)
    of_fine = torch.where(labels.fine >= len(PBC_FINE), labels.fine, UNKNOWN)
    of_kind = len(FINE) + labels.kind
    red = torch.where(labels.source == CHULA, of_fine, of_kind)
    white = torch.where(labels.source == BCCD, of_kind, of_group)
    return torch.where(labels.kind == KINDS.index("RBC"), red, white)


def shares(cells: CellSet, of_source: Mapping[int, float] = SHARES) -> Tensor:
    """Return ``(n,)`` sampling weights: sources as stated, rare classes more often."""
    label = torch.from_numpy(cells.group * len(FINE) + cells.fine + cells.kind * 1000)
    label = label + torch.from_numpy(cells.source) * 100_000
    _, place, count = label.unique(return_inverse=True, return_counts=True)
    weight = count[place].double() ** -0.75
    source = torch.from_numpy(cells.source)
    for number, share in of_source.items():
        own = source == number
        if own.any():
            weight[own] *= share / weight[own].sum()
    return weight


def _entropy(cosines: Tensor, target: Tensor, asked: Tensor) -> Tensor:
    """Return the cross-entropy of the cells asked, times their share of the batch."""
    if not asked.any():
        return cosines.sum() * 0
    loss = nnf.cross_entropy(SHARPNESS * cosines[asked], target[asked], label_smoothing=SMOOTHING)
    return loss * asked.float().mean()


def _attribute_entropy(answers: Answers, labels: Labels) -> Tensor:
    """Return the mean cross-entropy of the attributes, times the share of cells with them."""
    parts = answers.attribute.split([len(values) for values in ATTRIBUTES.values()], dim=1)
    each = [
        _entropy(part, labels.attributes[:, place], labels.attributes[:, place] != UNKNOWN)
        for place, part in enumerate(parts)
    ]
    return torch.stack(each).mean()
