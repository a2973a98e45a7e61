"""The files of a timm model's published weights: their names, and where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from napari_hemacells.core.encode import weights_store

if TYPE_CHECKING:
    from pathlib import Path

HUB = "https://huggingface.co"


class TimmFiles(NamedTuple):
    """The files to download on another computer, and where to put them.

    Attributes
    ----------
    address
        Where they are published, without their names.
    names
        Of the files there.
    place
        The file or folder in the weights store.
    """

    address: str
    names: tuple[str, ...]
    place: Path


def weights_name(published: Any) -> str:
    """Return the name of published weights with their tag, such as ``resnet18.a1_in1k``.

    Parameters
    ----------
    published
        timm's ``PretrainedCfg``.
    """
    architecture = str(published.architecture)
    return f"{architecture}.{published.tag}" if published.tag else architecture


def files_of(published: Any) -> TimmFiles:
    """Return the file of published weights; `published` as of :func:`weights_name`."""
    if published.hf_hub_id:
        address = f"{HUB}/{published.hf_hub_id}/resolve/main"
        file = published.hf_hub_filename or "model.safetensors"
    else:
        address, _, file = str(published.url).rpartition("/")
    ending = file.rpartition(".")[2]
    place = weights_store.weights_folder() / f"{weights_name(published)}.{ending}"
    return TimmFiles(address, (file,), place)


def files_of_hub_model(identity: str) -> TimmFiles:
    """Return the files of ``OWNER/MODEL`` on the model hub."""
    return TimmFiles(
        f"{HUB}/{identity}/resolve/main",
        ("config.json", "model.safetensors"),
        weights_store.weights_folder() / identity.rpartition("/")[2],
    )


def find_file(published: Any) -> Path | str | None:
    """Return the weights on this computer: in the store or in the hub's cache, else ``None``."""
    stored = weights_store.find_weights(weights_name(published))
    return stored or weights_store.find_cached_file(
        published.hf_hub_id, *files_of(published).names
    )
