"""Loading of a bundle's fine-tuned network as an encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_hemacells.core.encode.device import choose_device
from napari_hemacells.core.encode.finetuned.config import NetworkPlan
from napari_hemacells.core.errors import BundleError, HemaCellsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_hemacells.core.encode.protocol import Encoder
    from napari_hemacells.core.params import DeviceName
    from napari_hemacells.core.types import EncoderInfo

NETWORK = "network"  # in EncoderInfo.preprocessing: the plan of a network that is not bundled


def finetuned_encoder(
    info: EncoderInfo, tensors: Mapping[str, NDArray[Any]], device: DeviceName = "auto"
) -> Encoder:
    """Return a fine-tuned encoder, rebuilt from its configuration and weights.

    Parameters
    ----------
    info
        Its identity; ``preprocessing["network"]`` is its plan.
    tensors
        The weights by name, as the network's ``state_dict`` has them.
    device
        The torch device.

    Raises
    ------
    BundleError
        The weights do not fit the plan.
    """
    from napari_hemacells.core.encode.finetuned.network import Embedder, TurnedEmbedder
    from napari_hemacells.core.encode.network import NetworkEncoder

    plan = NetworkPlan.from_dict(info.preprocessing.get(NETWORK, {}))
    place = choose_device(device).name
    try:
        network = Embedder(plan)
        network.load_state_dict(stored_tensors(tensors, network.state_dict()))
        used = TurnedEmbedder(network) if network.turns > 1 else network
        encoder = NetworkEncoder(used, info, place)
    except HemaCellsError:
        raise
    except Exception as error:  # timm and torch raise anything on what a file describes
        raise BundleError(
            f"The weights of this model do not fit its network ({plan.arch}): it is damaged, or "
            "made with a library of another version."
        ) from error
    if network.dim != info.dim:
        raise BundleError(f"The network gives {network.dim} numbers per cell, not {info.dim}.")
    return encoder


def stored_tensors(
    tensors: Mapping[str, NDArray[Any]], wanted: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return a model's tensors as its network has them.

    Models written before 0.1.0 was released hold single numbers, the counters of batch norms, as
    arrays of one number.
    """
    import torch

    found = {name: torch.tensor(values) for name, values in tensors.items()}
    return {
        name: value.reshape(())
        if name in wanted and wanted[name].ndim == 0 and value.numel() == 1
        else value
        for name, value in found.items()
    }
