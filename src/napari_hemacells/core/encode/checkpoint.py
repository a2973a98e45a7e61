"""Encoders from local checkpoints: architecture, part of the file and preprocessing."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # pydantic reads the hint
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from napari_hemacells.core.encode.device import choose_device
from napari_hemacells.core.encode.timm_encoder import (
    InputSpec,
    build_timm_model,
    input_spec_of,
    wrap_timm_model,
)
from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.params import Params

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from napari_hemacells.core.encode.protocol import Encoder
    from napari_hemacells.core.encoder_names import EncoderName
    from napari_hemacells.core.params import DeviceName

Colours = tuple[float, float, float]


class CheckpointSpec(Params):
    """How to build an encoder from a weights file.

    Attributes
    ----------
    path
        A safetensors file, or a PyTorch file that holds weights alone.
    arch
        timm name of the network.
    size, mean, std
        Preprocessing, by default timm's for the network.
    part
        Key of the weights in the checkpoint.
    prefix
        Prefix of the names of the weights to use.
    drop
        Weights with one of these words in their names are ignored.
    """

    path: Path
    arch: str
    size: int | None = Field(default=None, gt=0, le=2048)
    mean: Colours | None = None
    std: Colours | None = None
    part: str = ""
    prefix: str = ""
    drop: tuple[str, ...] = ()


def parse_checkpoint_name(name: EncoderName) -> CheckpointSpec:
    """Return the spec of ``file:PATH?arch=resnet18&size=96&mean=0.5,0.5,0.5``.

    Raises
    ------
    EncoderError
        If the architecture is missing, or an option is invalid.
    """
    given: dict[str, Any] = dict(name.options)
    for key in ("mean", "std", "drop"):
        if key in given:
            given[key] = tuple(given[key].split(","))
    try:
        return CheckpointSpec(path=name.body, **given)
    except (ValidationError, TypeError) as error:
        raise EncoderError(
            "A checkpoint is named as file:PATH?arch=resnet18, where arch is timm's name of its "
            "network; size, mean, std (0.5,0.5,0.5), part, prefix and drop may follow with &."
        ) from error


def checkpoint_encoder(
    spec: CheckpointSpec, device: DeviceName = "auto", *, name: str = "", seen: str = ""
) -> Encoder:
    """Return the encoder of a checkpoint; every weight of the network must be in the file.

    Raises
    ------
    EncoderError
        The file cannot be read, or does not hold the weights of that network.
    """
    at = choose_device(device)
    model = build_timm_model(spec.arch, spec.size)
    _fill(model, spec)
    known = input_spec_of(model, spec.size)
    picture = InputSpec(
        known.size, spec.mean or known.mean, spec.std or known.std, known.interpolation
    )
    return wrap_timm_model(
        model,
        name or f"file:{spec.path.name} ({spec.arch})",
        at.name,
        picture=picture,
        seen=seen or "unknown: a file of the user's",
    )


def _fill(model: Any, spec: CheckpointSpec) -> None:
    """Copy the file's weights into the network; additional weights are ignored."""
    from napari_hemacells.core.encode.weights_store import read_tensors

    stored = _fitted(model, _chosen(read_tensors(spec.path, spec.part), spec))
    wanted = model.state_dict()
    same = {name for name in wanted if name in stored and stored[name].shape == wanted[name].shape}
    missing = sorted(set(wanted) - same)
    if missing:
        raise EncoderError(
            f"{spec.path.name} does not hold the weights of {spec.arch}: {len(missing)} of "
            f"{len(wanted)} are missing or of another shape, such as {missing[0]}."
        )
    model.load_state_dict({name: stored[name] for name in wanted})


def _chosen(stored: Mapping[str, torch.Tensor], spec: CheckpointSpec) -> dict[str, torch.Tensor]:
    """Return the weights to use, by name without prefix."""
    kept = {
        name: value
        for name, value in stored.items()
        if not any(fragment in name for fragment in spec.drop)
    }
    return {name.removeprefix(spec.prefix): value for name, value in kept.items()}


def _fitted(model: Any, stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights of a vision transformer with its positions for the network's size."""
    from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

    if not isinstance(model, VisionTransformer) or "patch_embed.proj.weight" not in stored:
        return stored
    fitted: dict[str, torch.Tensor] = checkpoint_filter_fn(stored, model)
    return fitted
