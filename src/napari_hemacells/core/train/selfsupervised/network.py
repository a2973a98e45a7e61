"""Which part of an encoder learns, and on what. Imports torch: use inside functions only."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.encode.network import NetworkEncoder, StageFeatures
from napari_hemacells.core.errors import TrainingError

if TYPE_CHECKING:
    from napari_hemacells.core.encode.protocol import Encoder

LAST = 2  # stages of the network that learn; what is common to all pictures stays
WHOLE_CROP = 128


def pupil_of(encoder: Encoder) -> Any:
    """Return a copy of an encoder's network to be taught, in full precision, as it is used.

    Raises
    ------
    TrainingError
        The encoder is no network.
    """
    from napari_hemacells.core.encode.blood import BloodFeatures

    if not isinstance(encoder, NetworkEncoder):
        raise TrainingError(f"{encoder.info.name} is no network: there is nothing to teach.")
    if isinstance(encoder.network, BloodFeatures):
        return _upright(encoder)
    return copy.deepcopy(encoder.network)


def side_for(encoder: Encoder) -> int:
    """Return the side in pixels of the pictures that the network works on."""
    known = encoder.info.preprocessing
    side = known.get("size") or known.get("readout", {}).get("size") or WHOLE_CROP
    return int(side)


def taught_names(network: Any) -> list[str]:
    """Return the names of the weights that learn: those of the last stages.

    Raises
    ------
    TrainingError
        The network is of a kind of which it is not known.
    """
    own = [name for name, _ in network.named_parameters()]
    if isinstance(network, StageFeatures):
        count = len(network.blocks)
        heads = [f"blocks.{place}." for place in range(count - LAST, count)] + ["embed."]
        return [name for name in own if name.startswith(tuple(heads))]
    model = getattr(network, "model", None)
    if model is None or not hasattr(model, "group_matcher"):
        raise TrainingError("It is not known which part of this encoder comes last.")
    from timm.models import group_parameters

    groups = group_parameters(model, model.group_matcher(coarse=True))
    return [f"model.{name}" for key in sorted(groups)[-LAST:] for name in groups[key]]


def _upright(encoder: NetworkEncoder) -> Any:
    """Return the bundled network without its mean over turns: views are turned anyway."""
    import timm

    from napari_hemacells.core.encode.blood import BloodFeatures, Readout
    from napari_hemacells.core.encode.bundled import ARCHITECTURE

    readout = {**encoder.info.preprocessing["readout"], "turns": 1}
    make = partial(timm.create_model, ARCHITECTURE, pretrained=False)
    network = BloodFeatures(make, Readout(**readout))
    network.load_state_dict(encoder.network.state_dict())
    return network.to(encoder.device)
