"""Adapted encoders: files of weights from self-supervised training on the user's own cells.

The file holds the changed weights, and its header names the base encoder. Training is in
:mod:`napari_hemacells.core.train.selfsupervised`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.encode.weights_header import (
    WrongFormatError,
    read_header_values,
    write_header,
)
from napari_hemacells.core.encode.weights_store import file_sha256
from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.types import EncoderInfo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from napari_hemacells.core.encode.protocol import Encoder

FORMAT, VERSION = "napari-hemacells adapted encoder", 1


@dataclass(frozen=True)
class AdaptedHeader:
    """The header of an adapted encoder's file.

    Attributes
    ----------
    base
        Name of the base encoder.
    base_sha256
        Hash of the base encoder's weights.
    images
        Keys of the images of the training crops, or hashes of single pictures.
    crops
        Number of training crops.
    date
        Date of creation, ISO 8601, UTC.
    training
        Steps, seed, figures before and after.
    """

    base: str
    base_sha256: str
    images: tuple[str, ...]
    crops: int
    date: str
    training: dict[str, Any]

    def to_metadata(self) -> dict[str, str]:
        """As the header of a safetensors file."""
        return write_header(FORMAT, VERSION, vars(self))


def read_header(file: Path) -> AdaptedHeader:
    """Return the header of an adapted encoder's file, without torch.

    Raises
    ------
    EncoderError
        If the file is missing, damaged, or of another kind.
    """
    if not os.path.isfile(file):  # noqa: PTH113 (False too for a name that no system can have)
        raise EncoderError(f"The adapted encoder {file} does not exist: choose another file.")
    try:
        about = read_header_values(file, FORMAT, VERSION)
        return AdaptedHeader(**{**about, "images": tuple(about["images"])})
    except WrongFormatError as error:
        raise EncoderError(
            f"{file} is not an adapted encoder of this version: choose another."
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise EncoderError(
            f"{file} is damaged or not an adapted encoder: choose another."
        ) from error


def adapted_info(file: Path, header: AdaptedHeader, base: EncoderInfo) -> EncoderInfo:
    """Return the identity of an adapted encoder: its file's hash and all its training data."""
    preprocessing = {**base.preprocessing, "adapted_from": header.base_sha256}
    seen = f"{base.seen}; then, without labels, {header.crops} crops of the user's"
    name = f"adapted:{base.name}"
    return EncoderInfo(name, file_sha256(file), base.dim, preprocessing, seen)


def adapted_encoder(file: Path, base: Encoder) -> Encoder:
    """Return the encoder of an adapted file.

    Parameters
    ----------
    base
        The encoder that its header names.

    Raises
    ------
    EncoderError
        The file is damaged, or started from other weights than those of `base`.
    """
    from safetensors.torch import load_file

    from napari_hemacells.core.encode.network import NetworkEncoder

    header = read_header(file)
    if not isinstance(base, NetworkEncoder) or base.info.sha256 != header.base_sha256:
        raise EncoderError(
            f"{file.name} started from another version of the encoder {header.base} "
            f"({header.base_sha256[:12]}) than is here ({base.info.sha256[:12]}): adapt anew."
        )
    network = with_tensors(base.network, load_file(file))
    info = adapted_info(file, header, base.info)
    return NetworkEncoder(network, info, base.device, base.precision)


def with_tensors(network: Any, changed: Mapping[str, torch.Tensor]) -> Any:
    """Return a copy of the network with these weights in place of its own.

    Raises
    ------
    EncoderError
        They are not weights of this network.
    """
    import copy

    own = network.state_dict()
    wrong = [name for name in changed if name not in own or own[name].shape != changed[name].shape]
    if wrong or not changed:
        raise EncoderError("The adapted weights do not fit the base encoder: adapt it again.")
    twin = copy.deepcopy(network)
    twin.load_state_dict({**own, **changed})
    return twin
