"""The networks that can be trained: what each is made for, and where its weights come from.

Imports torch inside functions only.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_hemacells.core import encoder_names
from napari_hemacells.core.encode import timm_files, weights_store
from napari_hemacells.core.encode.adapted import read_header
from napari_hemacells.core.encode.finetuned.config import NetworkPlan
from napari_hemacells.core.encoder_names import ADAPTED
from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.train.classifier.own_model import (
    adapted_file,
    bundle_folder,
    describe_model,
    fill_from_model,
    plan_of_model,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from napari_hemacells.core.encode.finetuned.config import HeadKind
    from napari_hemacells.core.encode.finetuned.network import Classifier, Trunk
    from napari_hemacells.core.train.classifier.config import ClassifierConfig

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BUNDLED_MEAN = BUNDLED_STD = (0.5, 0.5, 0.5)
BUNDLED_SIZE, SMALL_SIZE, DEFAULT_SIZE = 128, 95, 224
SHORT_NAMES = {
    "vit_b_32": "vit_base_patch32_224",
    "vit_b_16": "vit_base_patch16_224",
    "vit_l_16": "vit_large_patch16_224",
}
PREFIXES = ("module.", "model.", "backbone.", "encoder.", "embedder.", "trunk.", "teacher.")
LEAST_MATCH = 0.9
COUNTER = "num_batches_tracked"  # of batch normalisation: says nothing, and many files lack it
SMALL_VGGS = frozenset({"small_vgg", "small_vgg_bn"})
PACKAGED = frozenset(encoder_names.INSTALLED)


class InitialWeights(NamedTuple):
    """What a network starts from, in words, and a warning where it is not what was hoped for.

    Attributes
    ----------
    model
        Folder of the trained model that it starts from; ``None`` for other weights.
    with_head
        Whether that model's head was taken too.
    """

    source: str
    warning: str = ""
    model: Path | None = None
    with_head: bool = False


def resolve_architecture(recipe: ClassifierConfig) -> NetworkPlan:
    """Return what the recipe's network is made of.

    Raises
    ------
    EncoderError
        There is no such architecture.
    """
    turns = 1 if recipe.upright else recipe.turns
    if (folder := bundle_folder(recipe.weights)) is not None:
        return replace(plan_of_model(folder, recipe), turns=turns)
    return replace(_plan_of(recipe), turns=turns)


def _plan_of(recipe: ClassifierConfig) -> NetworkPlan:
    arch = SHORT_NAMES.get(recipe.arch, recipe.arch)
    usual_head: HeadKind = "dense" if arch in SMALL_VGGS else "concat"
    head = usual_head if recipe.head == "auto" else recipe.head
    if arch == "bundled":
        size = recipe.size or BUNDLED_SIZE
        return NetworkPlan(arch, head, size, BUNDLED_MEAN, BUNDLED_STD, late=True)
    if arch in SMALL_VGGS | {"alexnet"}:
        usual = SMALL_SIZE if arch in SMALL_VGGS else DEFAULT_SIZE
        return NetworkPlan(arch, head, recipe.size or usual, IMAGENET_MEAN, IMAGENET_STD)
    import timm

    config = timm.get_pretrained_cfg(arch) if timm.is_model(arch) else None
    if config is None:
        return NetworkPlan(arch, head, recipe.size or DEFAULT_SIZE, IMAGENET_MEAN, IMAGENET_STD)
    size = recipe.size or int(config.input_size[-1])
    return NetworkPlan(arch, head, size, tuple(config.mean), tuple(config.std))


def build_network(
    recipe: ClassifierConfig, classes: int, names: Sequence[str] | None = None
) -> tuple[Classifier, NetworkPlan, InitialWeights]:
    """Return the network with its starting weights, its plan, and where the weights come from.

    Parameters
    ----------
    names
        The classes' names: a trained model that it starts from gives its head too, where they are
        the same.

    Raises
    ------
    EncoderError
        There is no such architecture, it cannot take pictures of that size, or its weights cannot
        be had.
    """
    from napari_hemacells.core.encode.finetuned.network import Classifier

    plan = resolve_architecture(recipe)
    try:
        network = Classifier(plan, classes)
    except (RuntimeError, AssertionError) as error:  # what layers say of maps that do not fit
        raise EncoderError(
            f"{plan.arch} cannot take pictures of {plan.size} pixels: choose another size, such "
            f"as {DEFAULT_SIZE}."
        ) from error
    if (folder := bundle_folder(recipe.weights)) is not None:
        source, with_head = fill_from_model(network, plan, folder, names)
        return network, plan, InitialWeights(source, model=folder, with_head=with_head)
    return network, plan, load_initial_weights(network.embedder.trunk, plan, recipe.weights)


def load_initial_weights(trunk: Trunk, plan: NetworkPlan, weights: str) -> InitialWeights:
    """Give the body its starting weights.

    Raises
    ------
    EncoderError
        They cannot be had, or are another network's. Random weights are only taken where
        `weights` is ``"none"``: nobody should learn after an hour that there were no others.
    """
    if weights == "none":
        return InitialWeights("from nothing")
    if weights in PACKAGED or (weights == "auto" and plan.arch == "bundled"):
        return _fill_packaged(trunk, plan, weights if weights in PACKAGED else "bundled")
    if (file := adapted_file(weights)) is not None:
        return _fill_packaged(trunk, plan, f"{ADAPTED}:{file}")
    if weights not in {"auto", "hub"}:
        return _fill_from_file(trunk, Path(weights).expanduser())
    return _fill_from_hub(trunk, plan)


def check_weights(recipe: ClassifierConfig) -> str:
    """Return in a sentence what a training starts from, before any picture is read.

    Raises
    ------
    EncoderError
        The weights are neither on this computer nor in reach, or the file is missing, or the
        trained model is of another architecture.
    """
    plan, weights = resolve_architecture(recipe), recipe.weights
    if (folder := bundle_folder(weights)) is not None:
        return describe_model(folder)
    if weights == "none":
        return f"Starts from scratch: {plan.arch} with random weights, as asked for."
    if weights in PACKAGED or (weights == "auto" and plan.arch == "bundled"):
        return _describe_packaged(plan.arch, weights if weights in PACKAGED else "bundled")
    if weights not in {"auto", "hub"}:
        return _describe_file(plan.arch, weights)
    if plan.arch in _torchvision_weights():
        _need_torchvision(plan.arch)
        return f"Starts from ImageNet weights: torchvision {_torchvision_weights()[plan.arch][1]}."
    return _describe_hub(plan.arch)


def _describe_packaged(arch: str, name: str) -> str:
    from napari_hemacells.core.encode.builtin import bundled_info

    if arch != "bundled":
        raise EncoderError(_not_packaged(arch))
    if name == "imagenet":
        return "Starts from ImageNet weights (EfficientNet-Lite0, in this package)."
    return f"Starts from the {name} encoder, which has seen: {bundled_info(name).seen}"


def _describe_file(arch: str, weights: str) -> str:
    if (file := adapted_file(weights)) is None:
        _existing(Path(weights).expanduser())
        return f"Starts from the weights in {Path(weights).expanduser()}."
    header = read_header(file)
    if arch != "bundled" or header.base not in PACKAGED:
        raise EncoderError(_not_packaged(arch, file.name))
    return (
        f"Starts from your adapted encoder {file.name}: the {header.base} encoder, which then "
        f"learned from {header.crops} crops without labels."
    )


def _describe_hub(arch: str) -> str:
    import timm

    if not timm.is_model(arch):
        return f"Starts from weights of {arch}."  # building the network says that there is none
    config = timm.get_pretrained_cfg(arch)
    if not (config and config.has_weights):
        raise EncoderError(
            f"There are no weights of {arch} on the model hub: choose another architecture, a "
            "local file (--weights FILE), or training from scratch (--weights none)."
        )
    where = "on this computer" if _cached_or_reachable(arch) else "to be fetched from the hub"
    name = ".".join(part for part in (arch, config.tag) if part)
    trained_on = "ImageNet weights" if _of_imagenet(config.tag or "") else "pretrained weights"
    return f"Starts from {trained_on}: timm {name} ({where})."


def _of_imagenet(tag: str) -> bool:
    return "in1k" in tag or "in21k" in tag or "in12k" in tag or "in22k" in tag


def _fill_packaged(trunk: Trunk, plan: NetworkPlan, name: str) -> InitialWeights:
    """Take the weights of a packaged encoder, or of one that was adapted from it."""
    from napari_hemacells.core.encode import load_encoder
    from napari_hemacells.core.encode.finetuned.network import StageTrunk
    from napari_hemacells.core.encode.network import NetworkEncoder

    if not isinstance(trunk, StageTrunk):
        raise EncoderError(_not_packaged(plan.arch, name))
    encoder = load_encoder(name, "cpu")
    if not isinstance(encoder, NetworkEncoder) or not hasattr(encoder.network, "stem"):
        raise EncoderError(_not_packaged(plan.arch, encoder.info.name))
    trunk.stem.load_state_dict(encoder.network.stem.state_dict())
    for own, theirs in zip(trunk.stages, encoder.network.blocks, strict=False):
        own.load_state_dict(theirs.state_dict())
    info = encoder.info
    return InitialWeights(f"{info.name} (sha256 {info.sha256[:16]}), which has seen: {info.seen}")


def _not_packaged(arch: str, weights: str = "") -> str:
    whose = "The packaged weights"
    if weights not in {"", *PACKAGED}:
        whose = f"The weights of the encoder {Path(weights).name.removeprefix(f'{ADAPTED}:')}"
    return (
        f"{whose} do not fit {arch}: choose the architecture bundled, or other weights (hub, "
        "none, or a file)."
    )


def _fill_from_file(trunk: Trunk, file: Path) -> InitialWeights:
    """Copy what fits from a checkpoint, whatever its names begin with."""
    import pickle

    from safetensors import SafetensorError
    from timm.models import load_state_dict

    _existing(file)
    try:
        stored = load_state_dict(str(file), weights_only=True)
    except (RuntimeError, ValueError, OSError, KeyError, SafetensorError) as error:
        raise EncoderError(f"{file} is no weights file that can be read.") from error
    except pickle.UnpicklingError as error:
        raise EncoderError(
            f"{file} holds more than weights and was not opened: save its state_dict alone."
        ) from error
    matched = _matching(stored, trunk)
    wanted = [name for name in trunk.state_dict() if not name.endswith(COUNTER)]
    share = len(matched) / max(1, len(wanted))
    if share < LEAST_MATCH:
        raise EncoderError(
            f"{file.name} fits {len(matched)} of {len(wanted)} tensors of the network: it belongs "
            "to another architecture."
        )
    trunk.load_state_dict(matched, strict=False)
    identity = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    details = f"{len(matched)} of {len(wanted)} tensors, sha256 {identity}"
    rest = len(wanted) - len(matched)
    warning = f"{file.name} lacks {rest} tensors of the network: these start at random."
    return InitialWeights(f"{file.name} ({details})", warning if rest else "")


def _existing(file: Path) -> None:
    if not file.is_file():
        raise EncoderError(f"There is no weights file {file}.")


def _matching(stored: dict[str, Any], trunk: Trunk) -> dict[str, Tensor]:
    """Return the stored tensors that the body has too, by the body's names."""
    wanted = trunk.state_dict()
    by_tail = {_bare(name): name for name in wanted if not name.endswith(COUNTER)}
    matched: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        own = by_tail.get(_bare(name))
        if own is not None and getattr(tensor, "shape", None) == wanted[own].shape:
            matched[own] = tensor
    return matched


def _bare(name: str) -> str:
    """Return a tensor's name without what wrappers put before it."""
    while True:
        prefix = next((candidate for candidate in PREFIXES if name.startswith(candidate)), None)
        if prefix is None:
            return name
        name = name.removeprefix(prefix)


def _fill_from_hub(trunk: Trunk, plan: NetworkPlan) -> InitialWeights:
    from napari_hemacells.core.encode.finetuned.network import TimmTrunk, timm_model

    if not isinstance(trunk, TimmTrunk):
        return _fill_from_torchvision(trunk, plan)
    cached = _cached_or_reachable(plan.arch)
    options = {"pretrained_cfg_overlay": {"file": cached}} if cached else {}
    try:
        model = timm_model(plan.arch, plan.size, pretrained=True, **options)
    except (OSError, RuntimeError) as error:
        raise _offline(plan.arch) from error
    trunk.load_state_dict(TimmTrunk(model).state_dict())
    return InitialWeights(
        f"timm {model.pretrained_cfg.get('tag') or plan.arch} from the model hub"
    )


def _cached_or_reachable(arch: str) -> str | None:
    """Return the hub's weights on this computer; None where they can be fetched."""
    import timm

    config = timm.get_pretrained_cfg(arch)
    file = None if config is None else timm_files.find_file(config)
    if file is None:
        _need(arch, timm_files.HUB)
    return None if file is None else str(file)


def _fill_from_torchvision(trunk: Trunk, plan: NetworkPlan) -> InitialWeights:
    """AlexNet's ImageNet weights, and VGG16's for the small VGG, of which it is the beginning."""
    known = _torchvision_weights()
    if plan.arch not in known:
        raise EncoderError(f"There are no weights for {plan.arch} on a hub: use bundled or none.")
    make, weights = known[plan.arch]
    _need_torchvision(plan.arch)
    try:
        model = make(weights=weights)
    except OSError as error:
        raise _offline(plan.arch) from error
    stored = {f"features.{name}": tensor for name, tensor in model.features.state_dict().items()}
    trunk.load_state_dict({name: stored[name] for name in trunk.state_dict()})
    return InitialWeights(f"torchvision {weights}")


def _torchvision_weights() -> dict[str, tuple[Any, Any]]:
    """Return, by architecture, what makes torchvision's model, and its weights."""
    from torchvision import models

    return {
        "alexnet": (models.alexnet, models.AlexNet_Weights.IMAGENET1K_V1),
        "small_vgg": (models.vgg16, models.VGG16_Weights.IMAGENET1K_V1),
        "small_vgg_bn": (models.vgg16_bn, models.VGG16_BN_Weights.IMAGENET1K_V1),
    }


def _need_torchvision(arch: str) -> None:
    weights = _torchvision_weights()[arch][1]
    if not _torchvision_cached(weights.url):
        _need(arch, weights.url)


def _torchvision_cached(url: str) -> bool:
    import torch

    return (Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]).is_file()


def _need(arch: str, address: str) -> None:
    try:
        weights_store.check_reachable(address)
    except OSError as error:
        raise _offline(arch) from error


def _offline(arch: str) -> EncoderError:
    return EncoderError(
        f"The weights of {arch} are not on this computer and cannot be fetched (no network?). "
        "Nothing was trained. Give a local file (--weights FILE), choose the bundled "
        "architecture, or ask for training from scratch (--weights none)."
    )
