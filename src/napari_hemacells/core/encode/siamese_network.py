"""Siamese networks as encoders: the network of the few-shot thesis, and a head on any encoder.

A siamese network is one network that looks at both cells of a pair; what it has learned is a
distance. Once it is trained it is an encoder like any other, ``siamese:PATH``. Imports torch: use
inside functions only. Training is in :mod:`napari_hemacells.core.train.siamese`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as nnf

from napari_hemacells.core.encode.adapted import with_tensors
from napari_hemacells.core.encode.network import NetworkEncoder
from napari_hemacells.core.encode.siamese_head import BODY, HEAD
from napari_hemacells.core.encode.siamese_header import read_siamese_header
from napari_hemacells.core.encode.weights_store import file_sha256
from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.types import EncoderInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from napari_hemacells.core.encode.protocol import Encoder

SIDE = 100  # px, of the thesis' grey pictures
CHANNELS = (4, 8, 8)
WIDTHS = (500, 500, 5)  # of its linear layers
LUMA = (0.299, 0.587, 0.114)  # Rec. 601, what converts a picture to grey
LIFT = 20.0  # constant last number of the thesis' vectors, see ThesisNetwork
HEAD_WIDTHS = (256, 64)


class ThesisNetwork(nn.Module):
    """The siamese network of the thesis: grey 100×100 pictures to five numbers.

    Three 3×3 convolutions with 4, 8 and 8 channels, zero padding and ReLU, then linear layers
    80,000 → 500 → 500 → 5. Two cells are compared by the Euclidean distance of the five numbers.

    A sixth number, always 20, follows them when it is used as an encoder, because the project
    compares unit vectors: with it the distance of two unit vectors is a twentieth of the Euclidean
    distance of the five numbers, within 1 % while these are below 2.
    """

    luma: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((1, *CHANNELS), CHANNELS, strict=False):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        sizes = (CHANNELS[-1] * SIDE**2, *WIDTHS)
        layers = []
        for before, after in zip(sizes, WIDTHS, strict=False):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.linear = nn.Sequential(*layers[:-1])
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)

    def compared(self, images: Tensor) -> Tensor:
        """``(n, 5)`` of ``(n, 3, rows, cols)`` images in 0 to 1."""
        grey = (images * self.luma).sum(dim=1, keepdim=True)
        if grey.shape[-2:] != (SIDE, SIDE):
            grey = nnf.interpolate(grey, (SIDE, SIDE), mode="bilinear", antialias=True)
        vectors: Tensor = self.linear(self.convolutions(grey).flatten(1))
        return vectors

    def forward(self, images: Tensor) -> Tensor:
        """``(n, 6)`` of ``(n, 3, rows, cols)`` images in 0 to 1."""
        vectors = self.compared(images)
        return torch.cat([vectors, torch.full_like(vectors[:, :1], LIFT)], dim=1)


class SiameseHead(nn.Module):
    """A projection head: an encoder's vectors to unit vectors that a distance is learned in.

    Parameters
    ----------
    centre, scale
        ``(dim,)`` what the vectors are standardised with.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, centre: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("centre", centre)
        self.register_buffer("scale", scale)
        first, last = HEAD_WIDTHS
        self.layers = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(len(centre), first), nn.GELU(), nn.Linear(first, last)
        )

    def forward(self, vectors: Tensor) -> Tensor:
        """``(n, 64)`` of ``(n, dim)``."""
        return nnf.normalize(self.layers((vectors - self.centre) * self.scale))


class EncoderWithHead(nn.Module):
    """An encoder's network with a head behind it."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, images: Tensor) -> Tensor:
        """``(n, 64)`` of ``(n, 3, rows, cols)`` normalised images."""
        vectors: Tensor = self.head(self.body(images))
        return vectors


def thesis_info(sha256: str, seen: str) -> EncoderInfo:
    """Return the identity of the thesis' network with these weights."""
    preprocessing = {"mean": [0.0] * 3, "std": [1.0] * 3, "siamese": "thesis"}
    return EncoderInfo("siamese:thesis", sha256, WIDTHS[-1] + 1, preprocessing, seen)


def head_info(base: EncoderInfo, sha256: str, seen: str) -> EncoderInfo:
    """Return the identity of an encoder with a head with these weights."""
    preprocessing = {**base.preprocessing, "siamese": base.sha256}
    return EncoderInfo(f"siamese:{base.name}", sha256, HEAD_WIDTHS[-1], preprocessing, seen)


def siamese_encoder(file: Path, device: str, load_base: Callable[[str], Encoder]) -> Encoder:
    """Return the encoder of a siamese network's file.

    Parameters
    ----------
    load_base
        Gives the encoder that the header names.

    Raises
    ------
    EncoderError
        The file is damaged, or the encoder under the head is another one here.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    header = read_siamese_header(file)
    base = load_base(header.base) if header.base else None
    if base is not None and base.info.sha256 != header.base_sha256:
        raise EncoderError(
            f"{file.name} was trained on another version of the encoder {header.base} "
            f"({header.base_sha256[:12]}) than is here ({base.info.sha256[:12]}): train it anew."
        )
    try:
        tensors = load_file(file)
        if base is None:
            network: nn.Module = ThesisNetwork()
            network.load_state_dict(tensors)
            return NetworkEncoder(network, thesis_info(file_sha256(file), header.seen), device)
        if not isinstance(base, NetworkEncoder):
            raise EncoderError(f"{header.base} is no network: train it anew on another encoder.")
        network = EncoderWithHead(with_body(base, tensors), read_head(tensors))
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as error:
        raise EncoderError(f"The weights in {file} do not fit their network.") from error
    return NetworkEncoder(network, head_info(base.info, file_sha256(file), header.seen), device)


def read_head(tensors: Mapping[str, Tensor]) -> SiameseHead:
    """Return the head among the tensors of a file.

    Raises
    ------
    KeyError, RuntimeError
        There is none, or it is of other widths.
    """
    own = {
        name.removeprefix(HEAD): value for name, value in tensors.items() if name.startswith(HEAD)
    }
    head = SiameseHead(own["centre"], own["scale"])
    head.load_state_dict(own)
    return head


def with_body(base: NetworkEncoder, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Return the base encoder's network with the weights of it that a file has."""
    changed = {
        name.removeprefix(BODY): value for name, value in tensors.items() if name.startswith(BODY)
    }
    network: nn.Module = with_tensors(base.network, changed) if changed else base.network
    return network
