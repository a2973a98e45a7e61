"""The encoder that comes with the package, trained on blood: no download."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
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

__all__ = [
    "ARCHITECTURE",
    "bundled_encoder",
    "bundled_info",
    "faster_encoder",
    "faster_info",
    "load_blood",
    "read_info",
]

WEIGHTS = Path(__file__).parents[2] / "weights" / "encoder.safetensors"
TURNS = 4  # quarter turns in which a cell is looked at: a cell on a slide has no upright
FEWER = 2  # what the weights were first published with


def bundled_encoder(device: DeviceName = "auto") -> Encoder:
    """Return EfficientNet-Lite0 with the package's own weights, loaded once a device.

    It looks at every cell in all four quarter turns.

    Raises
    ------
    EncoderError
        The device cannot be used, or the weights are damaged.
    """
    return _load(choose_device(device).name, TURNS)


def faster_encoder(device: DeviceName = "auto") -> Encoder:
    """Return the bundled encoder that looks at every cell in two quarter turns only.

    1.7 times as fast as :func:`bundled_encoder` and a little less sure.

    Raises
    ------
    EncoderError
        The device cannot be used, or the weights are damaged.
    """
    return _load(choose_device(device).name, FEWER)


@cache
def bundled_info() -> EncoderInfo:
    """Return its identity; torch is not needed for that."""
    return _turned(read_info(WEIGHTS), TURNS)


@cache
def faster_info() -> EncoderInfo:
    """Return the identity of :func:`faster_encoder`."""
    return _turned(read_info(WEIGHTS), FEWER)


def _turned(info: EncoderInfo, turns: int) -> EncoderInfo:
    """Return the identity with so many turns; the name says so where the file has others."""
    readout = info.preprocessing["readout"]
    if readout["turns"] == turns:
        return info
    preprocessing = {**info.preprocessing, "readout": {**readout, "turns": turns}}
    return replace(info, name=f"{info.name}, {turns} turns", preprocessing=preprocessing)


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


def load_blood(file: Path, device: str, turns: int | None = None) -> Encoder:
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

    from napari_hemacells.core.encode.blood import BloodFeatures, Readout
    from napari_hemacells.core.encode.network import NetworkEncoder

    info = read_info(file)
    if turns is not None:
        info = _turned(info, turns)
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
def _load(device: str, turns: int) -> Encoder:
    return load_blood(WEIGHTS, device, turns)
