"""Starting a training from one's own trained model: its body, and its head where it fits.

Or from one's own adapted encoder, which has a body alone.

Importing this module does not import torch; filling a network does.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.encode.adapted import read_header
from napari_hemacells.core.encode.finetuned.config import NetworkPlan
from napari_hemacells.core.encode.finetuned.load import NETWORK, stored_tensors
from napari_hemacells.core.encoder_names import ADAPTED
from napari_hemacells.core.errors import EncoderError, StorageError
from napari_hemacells.core.files.text_tables import read_table
from napari_hemacells.core.store import load_bundle

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_hemacells.core.encode.finetuned.network import Classifier
    from napari_hemacells.core.store import Bundle
    from napari_hemacells.core.train.classifier.config import ClassifierConfig

BUNDLE_JSON = "bundle.json"
LEARNED_PART = "train"


def bundle_folder(weights: str) -> Path | None:
    """Return the folder of the model bundle that starting weights name; ``None`` for others.

    A folder that a training wrote (with ``model`` in it) is taken for its model.
    """
    path = Path(weights).expanduser()
    if path.name == BUNDLE_JSON:
        path = path.parent
    for folder in (path, path / "model"):
        if (folder / BUNDLE_JSON).is_file():
            return folder
    return None


def adapted_file(weights: str) -> Path | None:
    """Return the file of the adapted encoder that starting weights name; ``None`` for others.

    The file alone, or ``adapted:FILE``, as the dock and ``--encoder`` name it.

    Raises
    ------
    EncoderError
        It is named as one and cannot be read as one.
    """
    named = weights.startswith(f"{ADAPTED}:")
    path = Path(weights.removeprefix(f"{ADAPTED}:")).expanduser()
    if not named and path.suffix != ".safetensors":
        return None
    try:
        read_header(path)
    except EncoderError:
        if named:
            raise
        return None  # other weights, or no file: the caller says so
    return path


def open_model(folder: Path) -> tuple[Bundle, NetworkPlan]:
    """Return a fine-tuned model and what its network is made of.

    Raises
    ------
    EncoderError
        The model was never fine-tuned: it has no network of its own.
    BundleError
        It is damaged.
    """
    bundle = load_bundle(folder)
    if not bundle.encoder_tensors or NETWORK not in bundle.encoder.preprocessing:
        raise EncoderError(
            f"The model “{bundle.name}” has no network of its own to go on from: it was fitted on "
            f"the encoder {bundle.encoder.name}. Start from --weights bundled, or name a model of "
            "hemacells train."
        )
    return bundle, NetworkPlan.from_dict(bundle.encoder.preprocessing[NETWORK])


def plan_of_model(folder: Path, recipe: ClassifierConfig) -> NetworkPlan:
    """Return the plan of a training that starts from this model.

    The architecture is the model's; so are head and size, unless the recipe names others.

    Raises
    ------
    EncoderError
        The recipe asks for another architecture.
    """
    bundle, plan = open_model(folder)
    if recipe.arch not in {"bundled", plan.arch}:
        raise EncoderError(
            f"The model “{bundle.name}” is a network {plan.arch}, not {recipe.arch}: leave --arch "
            f"out or say --arch {plan.arch}, or choose other starting weights."
        )
    head = plan.head if recipe.head == "auto" else recipe.head
    size, late = recipe.size or plan.size, plan.arch == "bundled"
    return replace(plan, head=head, size=size, late=late)


def class_names(bundle: Bundle) -> tuple[str, ...]:
    """Return the classes of a model, in the order of its head's columns."""
    names = {cell_class.id: cell_class.name for cell_class in bundle.palette}
    return tuple(names[class_id] for class_id in bundle.head.class_ids)


def describe_model(folder: Path) -> str:
    """Return what a training that starts from this model starts from, in a sentence."""
    bundle, plan = open_model(folder)
    return (
        f"Starts from your model “{bundle.name}” ({plan.arch}; classes "
        f"{', '.join(class_names(bundle))}): its body, and its head if the classes are the same."
    )


def fill_from_model(
    network: Classifier, plan: NetworkPlan, folder: Path, classes: Sequence[str] | None
) -> tuple[str, bool]:
    """Give a network a model's weights; return where they come from, and whether the head fits.

    The body is always taken. The head is, where it is built alike and its classes are the same;
    otherwise it starts at random.

    Raises
    ------
    EncoderError
        The weights do not fit.
    """
    bundle, stored_plan = open_model(folder)
    wanted = network.embedder.state_dict()
    tensors = stored_tensors(bundle.encoder_tensors, wanted)
    body = {name: value for name, value in tensors.items() if name.startswith("trunk.")}
    same_head = plan.head == stored_plan.head and classes is not None
    same_head = same_head and sorted(classes or ()) == sorted(class_names(bundle))
    same_head = same_head and bundle.head.kind == "linear"  # not one of two levels
    try:
        network.embedder.load_state_dict(tensors if same_head else body, strict=same_head)
    except RuntimeError as error:
        raise EncoderError(
            f"The weights of the model “{bundle.name}” do not fit pictures of {plan.size} pixels: "
            f"leave --size out (it learned at {stored_plan.size})."
        ) from error
    if same_head:
        _fill_head(network, bundle, classes or ())
    taken = "body and head" if same_head else "body; the head is new"
    source = (
        f"your model “{bundle.name}” (sha256 {bundle.encoder.sha256[:16]}; {taken}), which has "
        f"seen: {bundle.encoder.seen}"
    )
    return source, same_head


def _fill_head(network: Classifier, bundle: Bundle, classes: Sequence[str]) -> None:
    """Give norm and last layer the stored linear head: the same logits come out."""
    import torch
    from torch import nn

    head, names = bundle.head, class_names(bundle)
    width = network.embedder.width  # what follows in the vectors has no weight
    columns = [names.index(name) for name in classes]
    weights = head.weights[:width, columns].T.astype(np.float64)
    bias = head.bias[columns].astype(np.float64)
    with torch.no_grad():
        if isinstance(network.norm, nn.BatchNorm1d):
            norm, scale = network.norm, head.scale[:width].astype(np.float64)
            norm.running_mean.copy_(torch.from_numpy(head.centre[:width]))  # type: ignore[union-attr]
            norm.running_var.copy_(  # type: ignore[union-attr]
                torch.from_numpy(np.maximum(scale**2 - norm.eps, 0.0))
            )
            norm.weight.fill_(1.0)
            norm.bias.zero_()
        if network.single:  # one sigmoid: the first class's logit is 0
            weights, bias = weights[1:] - weights[:1], bias[1:] - bias[:1]
        network.last.weight.copy_(torch.from_numpy(weights))
        network.last.bias.copy_(torch.from_numpy(bias))


def seen_by_model(folder: Path, digests: Iterable[str]) -> tuple[int, bool]:
    """Return how many of these pictures the model had learned from, and whether that is known.

    It is known where the model still lies in the folder of its training, beside ``split.csv``.
    """
    table = folder.parent / "split.csv"
    try:
        rows = read_table(table).records()
        learned = {row["digest"] for row in rows if row["part"] == LEARNED_PART}
    except (OSError, KeyError, ValueError, StorageError):
        return 0, False
    return len(learned.intersection(digests)), True
