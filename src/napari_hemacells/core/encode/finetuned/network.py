"""Fine-tunable networks: backbone, pooling, neck and classifier. Imports torch.

Import this module inside functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from napari_hemacells.core.encode.builtin import ARCHITECTURE
from napari_hemacells.core.errors import EncoderError

if TYPE_CHECKING:
    from torch import Tensor

    from napari_hemacells.core.encode.finetuned.config import HeadKind, NetworkPlan

# VGG16's plan (Simonyan & Zisserman 2015) less its last three convolutions; 0 halves the maps
SMALL_VGG = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0)


class TimmTrunk(nn.Module):
    """A timm model up to its last maps or tokens."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        if hasattr(model, "pre_logits"):  # VGG's dense layers: heads take their place
            model.pre_logits = nn.Identity()

    @property
    def prefix(self) -> int:
        """How many tokens before those of the picture's patches; 0 for maps."""
        return int(getattr(self.model, "num_prefix_tokens", 0))

    def forward(self, images: Tensor) -> Tensor:
        """``(n, channels, rows, cols)`` maps or ``(n, tokens, channels)``."""
        maps: Tensor = self.model.forward_features(images)
        rows_last = getattr(self.model, "output_fmt", "NCHW") == "NHWC"
        return maps.permute(0, 3, 1, 2) if rows_last and maps.ndim == 4 else maps

    def blocks(self) -> list[list[nn.Parameter]]:
        """Return the parameters, first layers first, as timm groups them."""
        from timm.models import group_parameters

        named = dict(self.model.named_parameters())
        groups = group_parameters(self.model, self.model.group_matcher(coarse=False))
        return [[named[name] for name in groups[key]] for key in sorted(groups)]


LATE = 5  # of the bundled encoder's seven stages, the last but one


class StageTrunk(nn.Module):
    """The bundled encoder's stem and blocks, without its pooling."""

    prefix = 0

    def __init__(self, stem: nn.Module, stages: nn.ModuleList) -> None:
        super().__init__()
        self.stem, self.stages = stem, stages

    def forward(self, images: Tensor, late: list[Tensor] | None = None) -> Tensor:
        """``(n, channels, rows, cols)`` maps; those of a late stage are added to the list."""
        maps: Tensor = self.stem(images)
        for index, stage in enumerate(self.stages):
            maps = stage(maps)
            if late is not None and index == LATE:
                late.append(maps)
        return maps

    def blocks(self) -> list[list[nn.Parameter]]:
        """Return the parameters, first layers first."""
        return [list(part.parameters()) for part in (self.stem, *self.stages)]


class PlainTrunk(nn.Module):
    """Layers one after the other."""

    prefix = 0

    def __init__(self, features: nn.Sequential) -> None:
        super().__init__()
        self.features = features

    def forward(self, images: Tensor) -> Tensor:
        """``(n, channels, rows, cols)`` maps."""
        maps: Tensor = self.features(images)
        return maps

    def blocks(self) -> list[list[nn.Parameter]]:
        """Return the parameters, first layers first."""
        by_layer = (list(layer.parameters()) for layer in self.features)
        return [parameters for parameters in by_layer if parameters]


Trunk = TimmTrunk | StageTrunk | PlainTrunk


def build_trunk(arch: str, size: int) -> Trunk:
    """Return a backbone for pictures of that side, with random weights.

    Raises
    ------
    EncoderError
        There is no network of that name.
    """
    if arch == "bundled":
        return _bundled()
    if arch == "alexnet":
        from torchvision.models import alexnet

        return PlainTrunk(alexnet(weights=None).features)
    if arch in {"small_vgg", "small_vgg_bn"}:
        return PlainTrunk(_small_vgg(normalised=arch == "small_vgg_bn"))
    return TimmTrunk(timm_model(arch, size))


def timm_model(arch: str, size: int, **options: Any) -> Any:
    """Return a timm model without its classifier.

    Raises
    ------
    EncoderError
        timm knows no such model, or not at that size.
    """
    import timm

    if not timm.is_model(arch):
        raise EncoderError(
            f"There is no architecture “{arch}”: choose bundled, small_vgg, small_vgg_bn, "
            "alexnet, or a timm model such as resnet18 or vit_base_patch16_224."
        )
    config = timm.get_pretrained_cfg(arch)
    fixed = config is not None and config.fixed_input_size and size != config.input_size[-1]
    if fixed:
        options["img_size"] = size
    try:
        return timm.create_model(arch, num_classes=0, global_pool="", **options)
    except (TypeError, AssertionError) as error:
        raise EncoderError(f"{arch} cannot work on pictures of {size} pixels.") from error


def _bundled() -> StageTrunk:
    model = timm_model(ARCHITECTURE, 128)
    return StageTrunk(nn.Sequential(model.conv_stem, model.bn1), nn.ModuleList(model.blocks))


def _small_vgg(*, normalised: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for width in SMALL_VGG:
        if width:
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            if normalised:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
            channels = width
        else:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


WIDTH = 512  # of the layer before the classes
FIRST_DROPOUT, LAST_DROPOUT = 0.25, 0.5
DENSE, DENSE_DROPOUT = 1024, 0.1


class Embedder(nn.Module):
    """Pictures to the vectors before the last, linear layer.

    Attributes
    ----------
    trunk
        Pictures to maps or tokens, the input of saliency maps.
    neck
        From the pooled maps to the vector.
    width
        How many numbers the classes are told by; with a late stage its means follow them.
    dim
        Length of the vectors.
    turns
        Over how many quarter turns :meth:`turned` averages.
    """

    def __init__(self, plan: NetworkPlan) -> None:
        super().__init__()
        self.trunk = build_trunk(plan.arch, plan.size)
        self.both = plan.head == "concat"
        channels = self._channels(plan.size)
        self.neck, self.width = _neck(plan.head, channels)
        self.late, self.turns = plan.late, plan.turns
        self.dim = self.width + (self._late_channels(plan.size) if plan.late else 0)

    def forward(self, images: Tensor) -> Tensor:
        """``(n, dim)`` of ``(n, 3, size, size)`` normalised pictures."""
        if not self.late:
            vectors: Tensor = self.neck(self.pool(self.trunk(images)))
            return vectors
        late: list[Tensor] = []
        vectors = self.neck(self.pool(self.trunk(images, late)))
        return torch.cat([vectors, *(maps.mean((2, 3)) for maps in late)], 1)

    def turned(self, images: Tensor) -> Tensor:
        """``(n, dim)`` mean over the quarter turns, as the trained network is used."""
        total: Tensor = self(images)
        for turn in range(1, self.turns):
            total = total + self(_turned(images, turn))
        return total / self.turns if self.turns > 1 else total

    def pool(self, maps: Tensor) -> Tensor:
        """Average and maximum of maps; the class token and the mean of the patches of tokens."""
        if maps.ndim == 4:
            average = maps.mean((2, 3))
            return torch.cat([average, maps.amax((2, 3))], 1) if self.both else average
        prefix = self.trunk.prefix
        patches = maps[:, prefix:].mean(1)
        first = maps[:, 0] if prefix else maps.amax(1)
        return torch.cat([first, patches], 1) if self.both else (first if prefix else patches)

    @torch.no_grad()
    def _channels(self, size: int) -> int:
        was = self.training
        maps = self.pool(self.trunk.eval()(torch.zeros(1, 3, size, size)))
        self.trunk.train(was)
        return int(maps.shape[1])

    @torch.no_grad()
    def _late_channels(self, size: int) -> int:
        was, late = self.training, list[torch.Tensor]()
        self.trunk.eval()(torch.zeros(1, 3, size, size), late)
        self.trunk.train(was)
        return int(late[0].shape[1])


def _turned(images: Tensor, turn: int) -> Tensor:
    """Quarter turns as torch.rot90 makes them, which cannot be written as ONNX."""
    across = images.transpose(2, 3) if turn % 2 else images
    return across.flip({1: (2,), 2: (2, 3), 3: (3,)}[turn])


class TurnedEmbedder(nn.Module):
    """An embedder as it is used: the mean over its quarter turns."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__()
        self.embedder = embedder

    def forward(self, images: Tensor) -> Tensor:
        """``(n, dim)`` of ``(n, 3, size, size)`` normalised pictures."""
        return self.embedder.turned(images)


class Classifier(nn.Module):
    """The whole network: pictures to one score per class.

    Parameters
    ----------
    plan
        What it is made of.
    classes
        How many; two with the head ``dense`` have one sigmoid, whose logit stands against 0.
    """

    def __init__(self, plan: NetworkPlan, classes: int) -> None:
        super().__init__()
        self.embedder, self.classes = Embedder(plan), classes
        dim = self.embedder.width
        self.single = plan.head == "dense" and classes == 2
        concat = plan.head == "concat"
        self.norm: nn.Module = nn.BatchNorm1d(dim) if concat else nn.Identity()
        self.dropout = nn.Dropout(LAST_DROPOUT if concat else 0.0)
        self.last = nn.Linear(dim, 1 if self.single else classes)

    def forward(self, images: Tensor) -> Tensor:
        """``(n, classes)`` logits of ``(n, 3, size, size)`` normalised pictures."""
        return self.decide(self.embedder(images))

    def decide(self, vectors: Tensor) -> Tensor:
        """``(n, classes)`` logits of the embedder's vectors."""
        own = vectors[:, : self.embedder.width]
        logits: Tensor = self.last(self.dropout(self.norm(own)))
        return torch.cat([torch.zeros_like(logits), logits], 1) if self.single else logits

    def head_parameters(self) -> list[nn.Parameter]:
        """Return the layers without pretrained weights."""
        parts = (self.embedder.neck, self.norm, self.last)
        return [parameter for part in parts for parameter in part.parameters()]


def _neck(head: HeadKind, channels: int) -> tuple[nn.Module, int]:
    """Return the layers between pooling and last layer, and the length of their vectors."""
    if head == "linear":
        return nn.Identity(), channels
    if head == "concat":
        layers = [
            nn.BatchNorm1d(channels),
            nn.Dropout(FIRST_DROPOUT),
            nn.Linear(channels, WIDTH, bias=False),
            nn.ReLU(inplace=True),
        ]
        return nn.Sequential(*layers), WIDTH
    first = [nn.Linear(channels, DENSE), nn.ReLU(inplace=True), nn.Dropout(DENSE_DROPOUT)]
    second = [nn.Linear(DENSE, WIDTH), nn.ReLU(inplace=True), nn.Dropout(DENSE_DROPOUT)]
    return nn.Sequential(*first, *second), WIDTH
