"""Encoders by name, and the encoder of a stored model."""

from __future__ import annotations

import os
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hemacells.core import encoder_names
from napari_hemacells.core.encode import weights_store
from napari_hemacells.core.encode.adapted import adapted_encoder, read_header
from napari_hemacells.core.encode.allowed import check_allowed
from napari_hemacells.core.encode.builtin import (
    BUNDLED_FORMS,
    bundled_encoder,
    bundled_info,
    imagenet_encoder,
    imagenet_info,
)
from napari_hemacells.core.encode.device import choose_device
from napari_hemacells.core.encode.foundation import FOUNDATION_NAMES as FOUNDATION
from napari_hemacells.core.encode.foundation import foundation_encoder
from napari_hemacells.core.encode.morphology import without_features
from napari_hemacells.core.encode.siamese_header import read_siamese_header
from napari_hemacells.core.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_hemacells.core.encode.adapted import AdaptedHeader
    from napari_hemacells.core.encode.protocol import Encoder
    from napari_hemacells.core.encode.siamese_header import SiameseHeader
    from napari_hemacells.core.encoder_names import EncoderName
    from napari_hemacells.core.params import DeviceName
    from napari_hemacells.core.types import EncoderInfo

BUNDLED = "bundled"
ENCODER_FACTORIES: dict[str, tuple[Callable[[DeviceName], Encoder], Callable[[], EncoderInfo]]] = {
    **{
        form: (partial(bundled_encoder, form=form), partial(bundled_info, form))
        for form in BUNDLED_FORMS
    },
    "imagenet": (imagenet_encoder, imagenet_info),
}
KINDS = (
    encoder_names.TIMM,
    encoder_names.UNTRAINED,
    encoder_names.FILE,
    encoder_names.ADAPTED,
    encoder_names.SIAMESE,
    *FOUNDATION,
)
OTHERS = (
    "timm:NAME (any model of timm, such as timm:resnet18), dinobloom-s, dinobloom-b, "
    "reddino-small, reddino-base, reddino-large, file:PATH?arch=NAME, adapted:PATH, "
    "siamese:PATH, untrained:NAME"
)
REBUILDABLE_KINDS = frozenset(
    {encoder_names.TIMM, encoder_names.UNTRAINED, *FOUNDATION}
)  # the name says all
MAX_CACHED_ENCODERS = 4  # networks of hundreds of megabytes: few stay loaded


def load_encoder(name: str = BUNDLED, device: DeviceName = "auto") -> Encoder:
    """Return the encoder of that name, loaded once per device.

    ``bundled`` (trained on blood), ``bundled-2-turns`` (the same, 1.7 times as fast
    and slightly less accurate), ``blood-2`` (trained on two more sets), ``imagenet``;
    ``timm:NAME`` or a name that timm lists, with
    ``?size=224`` for another size of picture; ``dinobloom-s`` and ``dinobloom-b`` (``:PATH``),
    ``reddino-small``, ``-base``, ``-large``; ``file:PATH?arch=NAME``, a checkpoint;
    ``adapted:PATH``, an adapted encoder; ``siamese:PATH``, a trained siamese network;
    ``untrained:NAME``, a timm model with random weights.

    Raises
    ------
    EncoderError
        If the name or weights are missing, or the device cannot be used.
    """
    if name in ENCODER_FACTORIES:
        return ENCODER_FACTORIES[name][0](device)
    wanted = encoder_names.parse_encoder_name(name, KINDS)
    if not wanted.kind and not _listed_by_timm(wanted.body):
        known = ", ".join(ENCODER_FACTORIES)
        raise EncoderError(f"There is no encoder “{name}”; there are: {known}, {OTHERS}.")
    return _load_cached(name, choose_device(device).name, _version(wanted))


def encoder_name_of(info: EncoderInfo) -> str | None:
    """Return the name of the local encoder with the same vectors; ``None`` if none has.

    Compared without loading: those of the package and of the weights store.
    """
    info = without_features(info)
    for name, (_, known) in ENCODER_FACTORIES.items():
        if _same(known(), info):
            return name
    file = weights_store.find_weights_by_hash(info.sha256)
    if file is None:
        return None
    kind, header = _header_of(file)
    base = ENCODER_FACTORIES.get(header.base)
    outdated = base is not None and base[1]().sha256 != header.base_sha256
    return None if outdated else f"{kind}:{file}"


def _header_of(file: Path) -> tuple[str, AdaptedHeader | SiameseHeader]:
    """Return the kind of an encoder in the weights store, and its header."""
    try:
        return encoder_names.ADAPTED, read_header(file)
    except EncoderError:
        return encoder_names.SIAMESE, read_siamese_header(file)


def encoder_like(info: EncoderInfo, device: DeviceName = "auto") -> Encoder:
    """Return the encoder with the same vectors, or the bundled one if there is none.

    A published encoder is created again by its name. Call
    :func:`napari_hemacells.core.store.check_compatible` before using it with a stored model.

    Raises
    ------
    EncoderError
        If the device cannot be used, or the weights are missing.
    EncoderNotAllowedError
        If the name is one of a hub or a file that the user never chose here.
    """
    name = encoder_name_of(info)
    if (
        name is None
        and encoder_names.parse_encoder_name(info.name, KINDS).kind in REBUILDABLE_KINDS
    ):
        size = info.preprocessing.get("size")
        sized = size is not None and info.name.partition(":")[0] in {
            encoder_names.TIMM,
            encoder_names.UNTRAINED,
        }
        check_allowed(info.name)
        name = f"{info.name}?size={size}" if sized else info.name
    return load_encoder(name or BUNDLED, device)


def _same(here: EncoderInfo, info: EncoderInfo) -> bool:
    same_weights = (here.sha256, here.dim) == (info.sha256, info.dim)
    return same_weights and here.preprocessing == info.preprocessing


def _version(wanted: EncoderName) -> tuple[int, int]:
    """Return a value that changes with the file of a name."""
    path = Path(wanted.body).expanduser()
    weightless = wanted.kind in {encoder_names.TIMM, encoder_names.UNTRAINED, ""}
    if weightless or not os.path.isfile(path):  # noqa: PTH113 (False for impossible names too)
        return (0, 0)
    return path.stat().st_size, path.stat().st_mtime_ns


@lru_cache(maxsize=MAX_CACHED_ENCODERS)
def _load_cached(name: str, device: DeviceName, _version: tuple[int, int]) -> Encoder:
    """Return the encoder of a name with a kind, or of a timm name."""
    from napari_hemacells.core.encode.checkpoint import checkpoint_encoder, parse_checkpoint_name
    from napari_hemacells.core.encode.timm_encoder import timm_encoder, untrained_encoder

    wanted = encoder_names.parse_encoder_name(name, KINDS)
    if wanted.kind == encoder_names.FILE:
        return checkpoint_encoder(parse_checkpoint_name(wanted), device)
    if wanted.kind == encoder_names.ADAPTED:
        file = Path(wanted.body).expanduser()
        base = read_header(file).base
        check_allowed(base)  # the file may be a received one
        return adapted_encoder(file, load_encoder(base, device))
    if wanted.kind == encoder_names.SIAMESE:
        return _load_siamese(Path(wanted.body).expanduser(), device)
    size = encoder_names.parse_input_size(wanted)
    if wanted.kind == encoder_names.UNTRAINED:
        return untrained_encoder(wanted.body, size, device)
    if wanted.kind in FOUNDATION:
        return foundation_encoder(wanted.kind, wanted.body, size, device)
    return timm_encoder(wanted.body, size, device)


def _load_siamese(file: Path, device: DeviceName) -> Encoder:
    from napari_hemacells.core.encode.siamese_network import siamese_encoder

    def load_base(name: str) -> Encoder:
        check_allowed(name)  # the file may be a received one
        return load_encoder(name, device)

    return siamese_encoder(file, choose_device(device).name, load_base)


def _listed_by_timm(name: str) -> bool:
    import timm

    return bool(timm.is_model(name))
