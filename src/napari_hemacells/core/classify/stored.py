"""A head as arrays and plain JSON, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.classify.calibrate import Calibration
from napari_hemacells.core.classify.cellmap import CellMap
from napari_hemacells.core.classify.head import NAMES, Head
from napari_hemacells.core.classify.novelty import Novelty
from napari_hemacells.core.classify.shift import Reference
from napari_hemacells.core.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ARRAYS = ("centre", "scale", "weights", "bias")
REFERENCE = ("nearness", "spread", "n")
MAP = ("map.centre", "map.basis", "map.points", "novelty.values")


def to_tensors(head: Head) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the arrays of a head, and the rest as plain JSON."""
    meta: dict[str, Any] = {
        "kind": head.kind,
        "name": head.name,
        "class_ids": list(head.class_ids),
        "counts": list(head.counts),
        "slope": head.slope,
        "unlabelled": head.unlabelled,
        "calibration": asdict(head.calibration),
    }
    tensors: dict[str, NDArray[Any]] = {name: getattr(head, name) for name in ARRAYS}
    if len(head.owners):
        tensors["owners"] = head.owners
    if head.novelty is not None:
        known, threshold = head.novelty.map, head.novelty.threshold
        parts = (known.centre, known.basis, known.points, head.novelty.values)
        tensors.update(zip(MAP, parts, strict=True))
        meta["map"] = {
            "spacing": known.spacing,
            "threshold": threshold if np.isfinite(threshold) else None,
        }
    if head.reference is not None:
        tensors["reference.mean"] = head.reference.mean
        tensors["reference.std"] = head.reference.std
        meta["reference"] = {key: getattr(head.reference, key) for key in REFERENCE}
    return tensors, meta


def from_tensors(tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Head:
    """Return the head that gave these arrays and this JSON; models of before have fewer.

    Raises
    ------
    BundleError
        Something is missing or does not fit together.
    """
    try:
        head = _read(tensors, meta)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"The model's head is incomplete or damaged ({error!r}).") from error
    if head.kind not in NAMES or not _fits(head):
        raise BundleError("The model's head is damaged: its arrays do not fit its classes.")
    return head


def _read(tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Head:
    arrays = {name: np.asarray(tensors[name], dtype=np.float32) for name in ARRAYS}
    novelty = _novelty(tensors, meta["map"]) if "map" in meta else None
    return Head(
        meta["kind"],
        tuple(str(one) for one in meta["class_ids"]),
        tuple(int(one) for one in meta["counts"]),
        slope=float(meta["slope"]),
        owners=np.asarray(tensors.get("owners", ()), dtype=np.intp),
        unlabelled=int(meta.get("unlabelled", 0)),
        calibration=_calibration(meta.get("calibration", {})),
        novelty=novelty,
        reference=_reference(tensors, meta["reference"]) if "reference" in meta else None,
        **arrays,
    )


def _calibration(meta: Mapping[str, Any]) -> Calibration:
    """Return it with its curve as tuples, which JSON does not have."""
    curve = tuple((float(sure), float(right), int(n)) for sure, right, n in meta.get("curve", ()))
    return Calibration(**{**meta, "curve": curve})


def _reference(tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Reference:
    mean, std = (np.asarray(tensors[f"reference.{name}"], np.float32) for name in ("mean", "std"))
    return Reference(mean, std, float(meta["nearness"]), float(meta["spread"]), int(meta["n"]))


def _novelty(tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Novelty:
    centre, basis, points, values = (np.asarray(tensors[name], np.float32) for name in MAP)
    threshold = np.inf if meta["threshold"] is None else float(meta["threshold"])
    return Novelty(CellMap(centre, basis, points, float(meta["spacing"])), values, threshold)


def _fits(head: Head) -> bool:
    """Whether the shapes of the arrays belong together."""
    dim, k = len(head.centre), len(head.class_ids)
    columns = len(head.owners) if head.kind == "knn" else k
    wanted = [(dim,), (dim, columns), (columns,)]
    found = [head.scale.shape, head.weights.shape, head.bias.shape]
    whole = len(head.counts) == k and found == wanted
    if len(head.owners) and (head.owners.min() < 0 or head.owners.max() >= k):
        return False
    if head.reference is not None and head.reference.mean.shape != head.centre.shape:
        return False
    if head.novelty is None or not whole:
        return whole
    known = head.novelty.map
    sketched = known.basis.shape[1] if known.basis.ndim == 2 else -1
    places = (len(head.novelty.values), sketched)
    return (
        known.centre.shape == (dim,) and len(known.basis) == dim and known.points.shape == places
    )
