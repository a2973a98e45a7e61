"""The network of the encoder trained on blood cells. Imports torch: import it inside functions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as nnf

from napari_hemacells.core.encode.network import StageFeatures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

LAST = 6  # stage that was taught
COMMON = 2  # first stages, whose filters were not taught: ImageNet's own go on from there


@dataclass(frozen=True)
class Readout:
    """The parts of the network that form an embedding, and their weights.

    Attributes
    ----------
    stages
        Stages whose mean and deviation are given, ascending.
    scales
        For each of them the factors of mean and of deviation.
    sigma
        Deviation of the window around the centre, as a part of half the picture's side.
    width
        Numbers of the embedding.
    weight
        Factor of the embedding, which has length 1.
    kept
        Stages of ImageNet's own filters that are given too, ascending; none if empty.
    kept_scales
        For each of them the factors of mean and of deviation.
    size
        Side to which crops are brought first: that of the training.
    turns
        Quarter turns of the crop for rotation averaging, 1 for none: cells have no orientation.
    """

    stages: Sequence[int]
    scales: Sequence[Sequence[float]]
    sigma: float
    width: int
    weight: float
    kept: Sequence[int] = ()
    kept_scales: Sequence[Sequence[float]] = ()
    size: int = 96
    turns: int = 2

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


class BloodFeatures(StageFeatures):
    """The trained embedding of blood cells, concatenated with features of earlier stages.

    The embedding separates the trained classes from one or two examples; the stages separate new
    classes. ImageNet's own stages keep differences that the training on blood suppressed.

    Parameters
    ----------
    make_backbone
        Gives a timm EfficientNet, a new one each time.
    readout
        What makes the vector.
    """

    def __init__(self, make_backbone: Callable[[], Any], readout: Readout) -> None:
        backbone = make_backbone()
        super().__init__(backbone, (*readout.stages, LAST), readout.sigma)
        last = max(readout.kept, default=COMMON - 1)
        self.untaught = nn.ModuleList(make_backbone().blocks[COMMON : last + 1])
        width = 2 * backbone.blocks[LAST][-1].bn3.num_features
        self.norm = nn.BatchNorm1d(width, affine=False)
        self.embed = nn.Linear(width, readout.width, bias=False)
        self._readout = readout
        self._scales = dict(zip(readout.stages, readout.scales, strict=True))
        self._kept_scales = dict(zip(readout.kept, readout.kept_scales, strict=True))

    def untaught_state(self, backbone: Any) -> dict[str, torch.Tensor]:
        """Return the weights of another EfficientNet for the stages that were not trained."""
        stages = nn.ModuleList(backbone.blocks[COMMON : COMMON + len(self.untaught)])
        return {f"untaught.{name}": value for name, value in stages.state_dict().items()}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """``(n, dim)`` of ``(n, 3, size, size)``."""
        if images.shape[-1] != self._readout.size:
            side = (self._readout.size, self._readout.size)
            images = nnf.interpolate(images, size=side, mode="bilinear", antialias=True)
        turned = [torch.rot90(images, turn, (2, 3)) for turn in range(self._readout.turns)]
        return torch.stack([self._forward_unrotated(view) for view in turned]).mean(dim=0)

    def _forward_unrotated(self, images: torch.Tensor) -> torch.Tensor:
        """``(n, dim)`` of images as they stand."""
        maps = self.stem(images.contiguous(memory_format=torch.channels_last))
        for block in self.blocks[:COMMON]:
            maps = block(maps)
        taught, parts = self._run_stages(self.blocks[COMMON:], maps, self._scales)
        _, kept = self._run_stages(self.untaught, maps, self._kept_scales)
        return torch.cat([self._readout.weight * self.embedding(taught), *parts, *kept], dim=1)

    def _run_stages(
        self, blocks: Iterable[Any], maps: torch.Tensor, scales: dict[int, Sequence[float]]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the last maps, and mean and deviation of the stages with scales, scaled."""
        parts: list[torch.Tensor] = []
        for index, block in enumerate(blocks, start=COMMON):
            maps = block(maps)
            if index in scales:
                pooled = zip(scales[index], self.pool(maps), strict=True)
                parts += [scale * part for scale, part in pooled]
        return maps, parts

    def embedding(self, maps: torch.Tensor) -> torch.Tensor:
        """``(n, width)`` unit vectors of the last stage's maps."""
        return nnf.normalize(self.embed(self.norm(torch.cat(self.pool(maps), dim=1))))
