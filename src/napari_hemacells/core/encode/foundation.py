"""Published foundation encoders of blood cells: DinoBloom and RedDino."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from napari_hemacells.core.encode.checkpoint import CheckpointSpec, checkpoint_encoder
from napari_hemacells.core.encode.timm_encoder import timm_encoder
from napari_hemacells.core.encode.weights_store import find_weights, weights_folder
from napari_hemacells.core.errors import EncoderError

if TYPE_CHECKING:
    from napari_hemacells.core.encode.protocol import Encoder
    from napari_hemacells.core.params import DeviceName

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ZENODO = "https://zenodo.org/records/10908163"
DINOBLOOM_TRAINING_DATA = (
    "13 public sets of blood and marrow cells (DinoBloom, MICCAI 2024), by its paper PBC, BCCD, "
    "Chula and Jiangxi among them: figures on these are no test"
)


class DinoBloomModel(NamedTuple):
    """A size of DinoBloom: its file's name, and its network as timm names it."""

    file: str
    arch: str


DINOBLOOM = {
    "dinobloom-s": DinoBloomModel("DinoBloom-S", "vit_small_patch14_dinov2"),
    "dinobloom-b": DinoBloomModel("DinoBloom-B", "vit_base_patch14_dinov2"),
}
DINOBLOOM_SIZE = 224  # 16 × 16 patches of 14 pixels and the class token: 257 positions
REDDINO = {f"reddino-{size}": f"hf_hub:Snarcy/RedDino-{size}" for size in ("small", "base",
           "large")}  # fmt: skip
FOUNDATION_NAMES = (*DINOBLOOM, *REDDINO)


def foundation_encoder(
    name: str, path: str = "", size: int | None = None, device: DeviceName = "auto"
) -> Encoder:
    """Return DinoBloom or RedDino.

    Parameters
    ----------
    name
        One of `FOUNDATION_NAMES`.
    path
        Path of its checkpoint (DinoBloom); if empty, in the weights store.
    size
        Side of the pictures in pixels (RedDino), by default the model's own.

    Raises
    ------
    EncoderError
        The weights are not here: a sentence on where to fetch them and where to put them.
    """
    if name in REDDINO:
        return timm_encoder(REDDINO[name], size, device)
    return checkpoint_encoder(
        dinobloom_spec(name, path), device, name=name, seen=DINOBLOOM_TRAINING_DATA
    )


def dinobloom_spec(name: str, path: str = "") -> CheckpointSpec:
    """Return how a DinoBloom checkpoint is read: its teacher, without the heads of the training.

    Raises
    ------
    EncoderError
        The file is not on the shelf, and no path was given.
    """
    bloom = DINOBLOOM[name]
    file = Path(path).expanduser() if path else find_weights(bloom.file)
    if file is None:
        raise EncoderError(
            f"The weights of {bloom.file} are not on this computer. Fetch {bloom.file}.pth from "
            f"{ZENODO} on a computer with a network and put it here as "
            f"{weights_folder() / bloom.file}.pth, or name the encoder as {name}:PATH."
        )
    return CheckpointSpec(
        path=file,
        arch=bloom.arch,
        size=DINOBLOOM_SIZE,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        part="teacher",
        prefix="backbone.",
        drop=("dino_head", "ibot_head"),
    )
