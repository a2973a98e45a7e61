"""Any timm model as an encoder, with weights from the hub, from a file, or random."""

from __future__ import annotations

import logging
import pickle
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_hemacells.core.encode import timm_files, weights_store
from napari_hemacells.core.encode.device import choose_device
from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.types import EncoderInfo

if TYPE_CHECKING:
    from napari_hemacells.core.encode.protocol import Encoder
    from napari_hemacells.core.encode.timm_files import TimmFiles
    from napari_hemacells.core.params import DeviceName

HUBS = ("hf_hub:", "hf-hub:")
HUB_IDENTITY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
SEED = 0  # of networks from nothing


class InputSpec(NamedTuple):
    """The preprocessing of a network.

    Attributes
    ----------
    size
        Side in pixels to which crops are resized.
    mean, std
        Of the three colours, pictures in 0 to 1.
    interpolation
        Interpolation of the resizing.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"


def timm_encoder(name: str, size: int | None = None, device: DeviceName = "auto") -> Encoder:
    """Return a model of timm with its published weights, pooled as its author pools it.

    The weights come from the weights store, or from the hub and its cache. Preprocessing is the
    model's own, without centre cropping.

    Parameters
    ----------
    name
        As timm lists it, with or without a tag (``resnet18.a1_in1k``), or ``hf_hub:OWNER/MODEL``.
    size
        Side of the pictures in pixels, by default the model's own.

    Raises
    ------
    EncoderError
        No such model, no weights for it, no network, or no such size.
    """
    at = choose_device(device)
    model, published = _load_published(name, size)
    return wrap_timm_model(
        model, f"timm:{published.name}", at.name, size=size, seen=published.seen
    )


def untrained_encoder(name: str, size: int | None = None, device: DeviceName = "auto") -> Encoder:
    """Return a timm model with fixed random weights, as a baseline.

    Raises
    ------
    EncoderError
        No such model, or no such size.
    """
    import torch

    at = choose_device(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = build_timm_model(name, size)
    seen = f"nothing: random weights, seed {SEED}"
    return wrap_timm_model(model, f"untrained:{name}", at.name, size=size, seen=seen)


def wrap_timm_model(
    model: Any,
    name: str,
    device: str,
    *,
    size: int | None = None,
    seen: str = "",
    picture: InputSpec | None = None,
) -> Encoder:
    """Return a timm model without classifier as an encoder, with hash and preprocessing.

    Parameters
    ----------
    picture
        Preprocessing, by default timm's for the model.
    """
    from napari_hemacells.core.encode.device import precision_on
    from napari_hemacells.core.encode.network import NetworkEncoder, ResizingModel
    from napari_hemacells.core.encode.weights_store import hash_tensors

    wanted = picture or input_spec_of(model, size)
    network = ResizingModel(model, wanted.size, wanted.interpolation)
    try:
        dim = network.dim()
    except (AssertionError, RuntimeError) as error:
        raise EncoderError(f"{name} cannot work on pictures of {wanted.size} pixels.") from error
    info = EncoderInfo(
        name=name,
        sha256=hash_tensors(model.state_dict()),
        dim=dim,
        preprocessing={
            "mean": list(wanted.mean),
            "std": list(wanted.std),
            "size": wanted.size,
            "interpolation": wanted.interpolation,
        },
        seen=seen,
    )
    return NetworkEncoder(network, info, device, precision_on(device))


def input_spec_of(model: Any, size: int | None = None) -> InputSpec:
    """Return timm's preprocessing of the model; `size` overrides its side."""
    from timm.data import resolve_model_data_config

    known = resolve_model_data_config(model)
    side = size or int(known["input_size"][-1])
    return InputSpec(side, tuple(known["mean"]), tuple(known["std"]), known["interpolation"])


def build_timm_model(name: str, size: int | None, **options: Any) -> Any:
    """Return a model of timm without classifier, for pictures of that side.

    Raises
    ------
    EncoderError
        timm knows no such model, or not at that size.
    """
    import timm

    hub = name.startswith((*HUBS, "local-dir:"))
    if not hub and not timm.is_model(name):
        raise EncoderError(_unknown(name))
    known = None if hub else timm.get_pretrained_cfg(name)
    if size is not None and (known is None or known.fixed_input_size):
        options["img_size"] = size
    try:
        return timm.create_model(name, num_classes=0, **options)
    except (TypeError, AssertionError) as error:
        raise EncoderError(f"{name} cannot work on pictures of {size} pixels.") from error


class _PublishedInfo(NamedTuple):
    """Name and training data of a published model."""

    name: str
    seen: str


def _load_published(name: str, size: int | None) -> tuple[Any, _PublishedInfo]:
    """Return the model with its weights."""
    if name.startswith(HUBS):
        identity = name.partition(":")[2]
        if not HUB_IDENTITY.fullmatch(identity):
            raise EncoderError(
                f"“{identity}” names no model of a hub: write hf_hub:OWNER/MODEL, with letters, "
                "digits, “-”, “_” and “.” alone."
            )
        files = timm_files.files_of_hub_model(identity)
        there = (files.place / "config.json").is_file()
        source = f"local-dir:{files.place}" if there else f"hf_hub:{identity}"
        here = there or all(weights_store.find_cached_file(identity, name) for name in files.names)
        model = _fetch(source, size, files, here=here)
        return model, _PublishedInfo(
            f"hf_hub:{identity}", f"what its page says: huggingface.co/{identity}"
        )
    known = _config(name)
    tagged, file = timm_files.weights_name(known), timm_files.find_file(known)
    overlay = {"pretrained_cfg_overlay": {"file": str(file)}} if file else {}
    model = _fetch(tagged, size, timm_files.files_of(known), here=bool(file), **overlay)
    page = known.hf_hub_id or known.url
    return model, _PublishedInfo(tagged, f"what its page says: {page} ({known.tag or 'no tag'})")


def _config(name: str) -> Any:
    """Return timm's entry of a model that has weights."""
    import timm

    if not timm.is_model(name):
        raise EncoderError(_unknown(name))
    try:
        known = timm.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError as error:
        tags = ", ".join(timm.list_pretrained(f"{name.partition('.')[0]}.*"))
        raise EncoderError(f"timm knows no weights {name}; it knows: {tags}.") from error
    if known is None or not (known.hf_hub_id or known.url):
        raise EncoderError(
            f"timm knows no published weights of {name}: name one that has some, or "
            f"untrained:{name} for random ones."
        )
    return known


def _fetch(source: str, size: int | None, files: TimmFiles, *, here: bool, **options: Any) -> Any:
    """Return the model with weights; the error says which file to download."""
    from safetensors import SafetensorError

    logger = logging.getLogger("timm")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        if not here:
            weights_store.check_reachable(files.address)
        return build_timm_model(source, size, pretrained=True, **options)
    except (RuntimeError, ValueError, pickle.UnpicklingError, SafetensorError) as error:
        raise EncoderError(
            f"The weights of {source} are damaged or of another network: remove "
            f"{files.place} if you put it there, and name the encoder again."
        ) from error
    except OSError as error:  # whatever failed on the way to the hub
        fetched = " and ".join(f"{files.address}/{name}" for name in files.names)
        raise EncoderError(
            f"The weights of {source} are not on this computer and could not be fetched. On a "
            f"computer with a network fetch {fetched}, put it here as {files.place}, and name "
            "the encoder again."
        ) from error
    finally:
        logger.setLevel(level)


def _unknown(name: str) -> str:
    import difflib

    import timm

    near = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.6)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    return f"timm knows no model “{name}”.{hint}"
