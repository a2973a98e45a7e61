"""A trained network as a model bundle: an encoder and a linear head, as every bundle has them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.annotate import Palette
from napari_hemacells.core.classify import Head
from napari_hemacells.core.encode.finetuned.rebuild import NETWORK
from napari_hemacells.core.store import Bundle
from napari_hemacells.core.types import EncoderInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.classify.calibrate import Calibration
    from napari_hemacells.core.encode.finetuned.network import Classifier
    from napari_hemacells.core.encode.finetuned.plan import NetworkPlan
    from napari_hemacells.core.types import CropSpec

SUPPORT = 200  # cells of a class kept to go on annotating from


def make_bundle(
    network: Classifier,
    plan: NetworkPlan,
    *,
    name: str,
    classes: Sequence[str],
    spec: CropSpec,
    temperature: float,
    calibration: Calibration,
    vectors: NDArray[np.float32],
    targets: NDArray[np.int64],
    seen: str,
    training: dict[str, Any],
    palette: Palette | None = None,
) -> Bundle:
    """Return the bundle: the embedder as encoder, norm and last layer as linear head.

    Parameters
    ----------
    calibration
        What the confidence stands on.
    vectors, targets
        The embedder's vectors of the crops learned from and their classes; some of each class are
        kept, so that annotating can go on from this model.
    training
        What a reader must know: split, figures, recipe.
    palette
        The project's classes; those of the same name keep their id.
    """
    palette = palette or Palette()
    for one in classes:
        palette = palette if palette.by_name(one) else palette.add(one)
    ids = tuple(palette.by_name(one).id for one in classes)  # type: ignore[union-attr]  # just made
    tensors = {
        key: np.ascontiguousarray(value.detach().cpu().numpy())
        for key, value in network.embedder.state_dict().items()
    }
    info = EncoderInfo(
        name=f"finetuned.{plan.arch}",
        sha256=tensors_hash(tensors),
        dim=network.embedder.dim,
        preprocessing={
            "mean": list(plan.mean),
            "std": list(plan.std),
            NETWORK: plan.to_dict(),
        },
        seen=seen,
    )
    counts = tuple(int((targets == place).sum()) for place in range(len(classes)))
    head = replace(linear_head(network, ids, counts, temperature), calibration=calibration)
    kept = _some_of_each(targets)
    arrays, meta = head.to_tensors()
    return Bundle(
        name=name,
        encoder=info,
        spec=spec,
        palette=palette,
        head_tensors=arrays,
        head_meta=meta,
        vectors=vectors[kept],
        labels=tuple(ids[place] for place in targets[kept]),
        encoder_tensors=tensors,
        training=training,
    )


def linear_head(
    network: Classifier, ids: tuple[str, ...], counts: tuple[int, ...], temperature: float
) -> Head:
    """Return norm and last layer as a linear head with the same probabilities."""
    from torch import nn

    dim, norm = network.embedder.dim, network.norm
    centre, scale = np.zeros(dim), np.ones(dim)
    gain, offset = np.ones(dim), np.zeros(dim)
    if isinstance(norm, nn.BatchNorm1d):
        centre = _array(norm.running_mean)
        scale = np.sqrt(_array(norm.running_var) + norm.eps)
        gain, offset = _array(norm.weight), _array(norm.bias)
    weights, bias = _array(network.last.weight), _array(network.last.bias)
    if network.single:  # one sigmoid: the first class's logit is 0
        weights, bias = np.vstack([np.zeros(dim), weights]), np.append(0.0, bias)
    return Head(
        kind="linear",
        class_ids=ids,
        counts=counts,
        centre=centre.astype(np.float32),
        scale=scale.astype(np.float32),
        weights=(weights * gain).T.astype(np.float32),
        bias=(weights @ offset + bias).astype(np.float32),
        slope=1.0 / temperature,
    )


def tensors_hash(tensors: dict[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of names and contents: the identity of the weights."""
    whole = hashlib.sha256()
    for name in sorted(tensors):
        whole.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        whole.update(np.ascontiguousarray(tensors[name]).tobytes())
    return whole.hexdigest()


def _some_of_each(targets: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the places of up to SUPPORT crops of each class, spread over all of them."""
    kept = []
    for one in np.unique(targets):
        own = np.flatnonzero(targets == one)
        kept.append(own[:: -(-len(own) // SUPPORT)])
    return np.sort(np.concatenate(kept)) if kept else np.array([], dtype=np.intp)


def _array(tensor: Any) -> NDArray[np.float64]:
    return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float64)
