"""The encoder that comes with the package, trained on blood: no download."""

from __future__ import annotations

import hashlib
import json
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.encode.device import choose_device
from napari_hemacells.core.encode.imagenet import ARCHITECTURE, MEAN, STD
from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.types import EncoderInfo

if TYPE_CHECKING:
    from napari_hemacells.core.encode.protocol import Encoder
    from napari_hemacells.core.params import DeviceName

__all__ = ["ARCHITECTURE", "bundled_encoder", "bundled_info", "load_blood", "read_info"]

WEIGHTS = Path(__file__).parents[2] / "weights" / "encoder.safetensors"


def bundled_encoder(device: DeviceName = "auto") -> Encoder:
    """Return EfficientNet-Lite0 with the package's own weights, loaded once a device.

    Raises
    ------
    EncoderError
        The device cannot be used, or the weights are damaged.
    """
    return _load(choose_device(device).name)


@cache
def bundled_info() -> EncoderInfo:
    """Return its identity; torch is not needed for that."""
    return read_info(WEIGHTS)


def read_info(file: Path) -> EncoderInfo:
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


def load_blood(file: Path, device: str) -> Encoder:
    """Return the encoder in a file that ``training/train_encoder.py`` wrote.

    Raises
    ------
    EncoderError
        The file is missing, damaged, or holds something else.
    """
    import timm
    from safetensors.torch import load_file

    from napari_hemacells.core.encode.blood import BloodFeatures, Readout
    from napari_hemacells.core.encode.network import NetworkEncoder

    info = read_info(file)
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
def _load(device: str) -> Encoder:
    return load_blood(WEIGHTS, device)
