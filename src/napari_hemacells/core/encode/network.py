"""A torch network as an encoder: batch-norm folding, stage pooling and resizing. Imports torch.

Import this module inside functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as nnf

from napari_hemacells.core.encode.device import free_gpu_memory, is_out_of_memory
from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.fused_network import conv_norm_pairs, fused_copy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.encode.device import Precision
    from napari_hemacells.core.types import EncoderInfo

CLOSE = 1e-3  # of the largest number: what rounding may change


def fuse_batch_norm(network: nn.Module, images: torch.Tensor) -> nn.Module:
    """Return a copy of a frozen network that computes the same with fewer passes over memory.

    On a CPU a batch norm by itself takes a good part of the time of the convolution before it: the
    bundled encoder gives up to 1.3 times as many vectors a second without
    (``benchmarks/embedding_throughput.py``). Whether the layers that follow one another in the
    network's definition also do so when it runs is seen on the given images: where a vector
    differs by more than rounding, or nothing can be folded, the network itself is returned.

    Parameters
    ----------
    network
        In evaluation mode, without gradients.
    images
        ``(n, 3, size, size)``, a few are enough.
    """
    if not any(conv_norm_pairs(module) for module in network.modules()):
        return network
    swift = fused_copy(network)
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        wanted, fused = network(images), swift(images)
    same = bool((wanted - fused).abs().max() <= CLOSE * wanted.abs().max())
    return swift if same else network


class NetworkEncoder:
    """Any network that maps normalised colour images to vectors, frozen.

    Parameters
    ----------
    network
        ``(n, 3, size, size)`` float images, normalised, to ``(n, dim)``.
    info
        Its identity; ``preprocessing["mean"]`` and ``["std"]`` are those of images in 0 to 1.
    device
        Name of a torch device.
    precision
        Of the computation. Vectors in bfloat16 differ by rounding, about a hundredth of their
        length.
    """

    def __init__(
        self,
        network: nn.Module,
        info: EncoderInfo,
        device: str,
        precision: Precision = "float32",
    ) -> None:
        self._info = info
        self._device = device
        self._precision = precision
        self._largest_batch: int | None = None
        frozen = network.eval().requires_grad_(requires_grad=False)
        # one layout on every device: convolutions of this size are faster with channels last
        self._network: Any = frozen.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._fused_network: Any = (
            None  # the same without batch norms, made when first used on a CPU
        )
        self._offset = _of_channels(info.preprocessing["mean"], device)
        self._scale = _of_channels(info.preprocessing["std"], device)

    @property
    def info(self) -> EncoderInfo:
        """Name, hash of the weights, dimension, preprocessing and training data."""
        return self._info

    @property
    def device(self) -> str:
        """The device."""
        return self._device

    @property
    def precision(self) -> Precision:
        """The precision of its computation."""
        return self._precision

    @property
    def largest_batch(self) -> int | None:
        """The batch size after an out-of-memory error; None if there was none."""
        return self._largest_batch

    @property
    def network(self) -> Any:
        """The frozen network; copy it before training."""
        return self._network

    def encode(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``(n, dim)`` float32 vectors of ``(n, size, size, 3)`` uint8 colour crops.

        A batch that does not fit in the memory is halved until it does, and those after it are
        as small; :attr:`largest_batch` says so. Other errors are not caught.

        Raises
        ------
        EncoderError
            If not even one crop fits.
        """
        parts = [np.empty((0, self._info.dim), dtype=np.float32)]
        start = 0
        while start < len(crops):
            stop = min(start + (self._largest_batch or len(crops)), len(crops))
            try:
                parts.append(self._forward(crops[start:stop]))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(stop - start, error)
            else:
                start = stop
        return np.concatenate(parts)

    def _halve(self, size: int, error: Exception) -> None:
        """Halve the batch size from now on."""
        if size == 1:
            raise EncoderError(
                f"The memory of {self._device} is full: close other programs or use the CPU."
            ) from error
        self._largest_batch = size // 2
        free_gpu_memory()

    def _forward(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            # rows of pixels as they lie in memory already are the channels-last layout
            images = torch.from_numpy(np.ascontiguousarray(crops)).to(self._device)
            normalised = (images.permute(0, 3, 1, 2).float() - self._offset) / self._scale
            half = self._precision == "bfloat16"
            with torch.autocast(self._device, torch.bfloat16, enabled=half):
                vectors = self._fastest_network(normalised)(normalised)
            return np.asarray(vectors.float().cpu().numpy(), dtype=np.float32)

    def _fastest_network(self, images: torch.Tensor) -> Any:
        """Return the network in the form that is quickest on the device."""
        if self._device != "cpu":
            return self._network
        if self._fused_network is None:
            self._fused_network = fuse_batch_norm(self._network, images[:1])
        return self._fused_network


class StageFeatures(nn.Module):
    """Mean and standard deviation of several stages of a network, around the picture's centre.

    For stained cells, which ImageNet does not contain, middle stages are more informative than
    late ones. The deviation separates flat from granular regions of equal mean. Both are weighted
    by a Gaussian around the cell at the centre, to suppress its neighbours.

    Parameters
    ----------
    backbone
        A timm EfficientNet.
    stages
        Indices into its blocks, ascending. What comes after the last one is not computed.
    sigma
        Deviation of the Gaussian, as a part of half the picture's side.
    """

    def __init__(self, backbone: Any, stages: Sequence[int], sigma: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(backbone.conv_stem, backbone.bn1)
        self.blocks = nn.ModuleList(backbone.blocks[: max(stages) + 1])
        self.stages = frozenset(stages)
        self.sigma = sigma

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """``(n, dim)`` of ``(n, 3, size, size)``."""
        maps = self.stem(images)
        pooled: list[torch.Tensor] = []
        for index, block in enumerate(self.blocks):
            maps = block(maps)
            if index in self.stages:
                pooled += self.pool(maps)
        return torch.cat(pooled, dim=1)

    def pool(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``(n, channels)`` weighted mean and deviation of ``(n, channels, rows, cols)``."""
        weights = self._gaussian_window(maps.shape[-2], maps)[:, None] * self._gaussian_window(
            maps.shape[-1], maps
        )
        weights = weights / weights.sum()
        mean = torch.einsum("ncij,ij->nc", maps, weights)
        second = torch.einsum("ncij,ij->nc", maps.square(), weights)
        return mean, (second - mean.square()).clamp_min(0).sqrt()

    def _gaussian_window(self, length: int, like: torch.Tensor) -> torch.Tensor:
        places = torch.arange(length, device=like.device, dtype=like.dtype)
        offset = (places + 0.5) / length * 2 - 1
        return torch.exp(-0.5 * (offset / self.sigma).square())


def _of_channels(values: Sequence[float], device: str) -> torch.Tensor:
    """Return ``(1, 3, 1, 1)``: values per channel of images in 0 to 1, scaled to 0 to 255."""
    return torch.tensor(values, device=device).mul(255.0).view(1, 3, 1, 1)


SMOOTH = {"bilinear": "bilinear"}  # everything finer is bicubic here


class ResizingModel(nn.Module):
    """A timm model without classifier that takes pictures of any size.

    Parameters
    ----------
    model
        Gives pooled vectors.
    size
        Side to which pictures are brought.
    interpolation
        As timm names it.
    """

    def __init__(self, model: Any, size: int, interpolation: str) -> None:
        super().__init__()
        self.model, self.size = model, size
        self.mode = SMOOTH.get(interpolation, "bicubic")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """``(n, dim)`` of ``(n, 3, rows, cols)`` normalised pictures."""
        if images.shape[-2:] != (self.size, self.size):
            side = (self.size, self.size)
            images = nnf.interpolate(images, size=side, mode=self.mode, antialias=True)
        vectors: torch.Tensor = self.model(images)
        return vectors

    @torch.inference_mode()
    def dim(self) -> int:
        """How many numbers a vector has."""
        self.eval()
        return int(self(torch.zeros(1, 3, self.size, self.size)).shape[1])
