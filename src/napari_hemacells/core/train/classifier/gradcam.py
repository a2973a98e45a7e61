"""Where a network looked: Grad-CAM heat maps of a trained model. Imports torch.

Selvaraju et al. 2017 (doi 10.1109/ICCV.2017.74), by the library pytorch-grad-cam.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from napari_hemacells.core.encode.finetuned.network import (
    Embedder,
    PlainTrunk,
    StageTrunk,
    TimmTrunk,
    TurnedEmbedder,
)
from napari_hemacells.core.encode.network import NetworkEncoder
from napari_hemacells.core.errors import BundleError, TrainingError
from napari_hemacells.core.train.classifier.bundle_module import BundleModule

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_hemacells.core.classify import Head
    from napari_hemacells.core.encode.finetuned.network import Trunk
    from napari_hemacells.core.encode.protocol import Encoder

MISSING = (
    "Heat maps of where the network looked need one more package: "
    "pip install 'napari-hemacells[report]'."
)
BATCH = 8
MIN_MAP_SIDE = (
    5  # rows that a map should have at least; finer ones lie so early that all edges glow
)


def gradcam_maps(
    encoder: Encoder, head: Head, crops: NDArray[np.uint8], classes: NDArray[np.int64]
) -> NDArray[np.float32]:
    """``(n, size, size)`` heat of each crop, 0 to 1: what spoke for a class.

    Parameters
    ----------
    encoder
        That of a fine-tuned bundle.
    crops
        ``(n, size, size, 3)``.
    classes
        ``(n,)`` places of the class asked about in ``head.class_ids``.

    Raises
    ------
    TrainingError
        pytorch-grad-cam is not installed.
    BundleError
        The model is no network with a linear head.
    """
    library = _library()
    network = encoder.network if isinstance(encoder, NetworkEncoder) else None
    if isinstance(network, TurnedEmbedder):
        network = network.embedder  # the map is of the crop as it lies
    if not isinstance(encoder, NetworkEncoder) or not isinstance(network, Embedder):
        raise BundleError("Heat maps are made of fine-tuned networks only.")
    whole = BundleModule(encoder, head)
    whole.network = network
    scores, trunk = _Scores(whole).eval(), network.trunk
    heat = np.zeros(crops.shape[:3], dtype=np.float32)
    with library(
        scores, [_target_layer(trunk, crops.shape[1])], reshape_transform=_as_maps(trunk.prefix)
    ) as cam:
        for start in range(0, len(crops), BATCH):
            part = slice(start, start + BATCH)
            pictures = torch.from_numpy(crops[part]).to(encoder.device).permute(0, 3, 1, 2)
            inputs = pictures.float().requires_grad_()  # the network itself is frozen
            heat[part] = cam(
                inputs, [_MarginTarget(int(class_index)) for class_index in classes[part]]
            )
    return heat


class _Scores(nn.Module):
    """The whole model without its softmax, whose gradient is lost where it is sure."""

    def __init__(self, whole: BundleModule) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, pictures: Tensor) -> Tensor:
        return self.whole.logits(pictures)


class _MarginTarget:
    """How far a class is above the mean of the others.

    Not its score alone: that of the first class of a single sigmoid is always 0.
    """

    def __init__(self, class_index: int) -> None:
        self._place = class_index

    def __call__(self, scores: Tensor) -> Tensor:
        others = (scores.sum() - scores[self._place]) / (len(scores) - 1)
        return scores[self._place] - others


def _target_layer(trunk: Trunk, size: int) -> nn.Module:
    """Return the layer whose maps are looked at: the last one with enough rows.

    Of transformers the last block's first norm: behind it only the class token counts, and no
    gradient reaches the patches.
    """
    if isinstance(trunk, TimmTrunk):
        blocks = getattr(trunk.model, "blocks", None)
        norm = getattr(blocks[-1], "norm1", None) if blocks and trunk.prefix else None
        if isinstance(norm, nn.Module):
            return norm
    maps: dict[nn.Module, int] = {}
    layers = [*_stages(trunk), trunk]

    def note(layer: nn.Module, _: object, output: Tensor) -> None:
        maps[layer] = output.shape[2] if output.ndim == 4 else MIN_MAP_SIDE

    hooks = [layer.register_forward_hook(note) for layer in layers]
    trunk(torch.zeros(1, 3, size, size, device=next(trunk.parameters()).device))
    for hook in hooks:
        hook.remove()
    return next((layer for layer in reversed(layers) if maps.get(layer, 0) >= MIN_MAP_SIDE), trunk)


def _stages(trunk: Trunk) -> list[nn.Module]:
    """Return the layers after which the maps have become smaller, in order."""
    if isinstance(trunk, StageTrunk):
        return [*trunk.stages]
    if isinstance(trunk, PlainTrunk):
        return [*trunk.features]
    if getattr(trunk.model, "output_fmt", "NCHW") != "NCHW":
        return []  # their rows come last but one: only the body as a whole turns them
    known = dict(trunk.model.named_modules())
    named = (info.get("module") for info in getattr(trunk.model, "feature_info", ()))
    return [known[name] for name in named if name in known]


def _as_maps(prefix: int) -> Callable[[Tensor], Tensor]:
    """Return what makes ``(n, channels, rows, cols)`` of ``(n, tokens, channels)``."""

    def reshape(output: Tensor) -> Tensor:
        if output.ndim == 4:
            return output
        patches = output[:, prefix:]
        side = round(patches.shape[1] ** 0.5)
        maps = patches.reshape(len(patches), side, side, -1)
        return maps.permute(0, 3, 1, 2)

    return reshape


def _library() -> Any:
    try:
        from pytorch_grad_cam import GradCAM
    except ImportError as error:
        raise TrainingError(MISSING) from error
    return GradCAM
