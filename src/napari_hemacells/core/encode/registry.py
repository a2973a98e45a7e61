"""Encoders by name, and the one that a stored model was made with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.encode.bundled import bundled_encoder, bundled_info
from napari_hemacells.core.encode.imagenet import imagenet_encoder, imagenet_info
from napari_hemacells.core.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_hemacells.core.encode.protocol import Encoder
    from napari_hemacells.core.params import DeviceName
    from napari_hemacells.core.types import EncoderInfo

BUNDLED = "bundled"
MAKERS: dict[str, tuple[Callable[[DeviceName], Encoder], Callable[[], EncoderInfo]]] = {
    BUNDLED: (bundled_encoder, bundled_info),
    "imagenet": (imagenet_encoder, imagenet_info),
}


def encoder(name: str = BUNDLED, device: DeviceName = "auto") -> Encoder:
    """Return the encoder of that name: ``bundled`` (trained on blood) or ``imagenet``.

    Raises
    ------
    EncoderError
        No such name, or the device cannot be used.
    """
    if name not in MAKERS:
        raise EncoderError(f"There is no encoder “{name}”; there are: {', '.join(MAKERS)}.")
    return MAKERS[name][0](device)


def name_of(info: EncoderInfo) -> str | None:
    """Return the name of the encoder here that gives the same vectors; ``None`` if none does."""
    for name, (_, known) in MAKERS.items():
        here = known()
        same_weights = (here.sha256, here.dim) == (info.sha256, info.dim)
        if same_weights and here.preprocessing == info.preprocessing:
            return name
    return None


def encoder_like(info: EncoderInfo, device: DeviceName = "auto") -> Encoder:
    """Return the encoder that gives the same vectors, the bundled one if none here does.

    Whoever uses it with a stored model lets :func:`napari_hemacells.core.store.check` decide
    whether the two fit.

    Raises
    ------
    EncoderError
        The device cannot be used.
    """
    return encoder(name_of(info) or BUNDLED, device)
