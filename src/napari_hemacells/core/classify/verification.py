"""Verification: whether two cells are of the same kind, also of kinds that nobody annotated.

A distance of two embeddings, and the threshold up to which it means "the same kind". Both are
learned from the annotated kinds only; the threshold from kinds (or cells) left out in turn, so
that it holds for kinds that were not annotated. Of a frozen encoder this takes seconds.

What cells of one kind differ in anyway, such as the stain, counts less: each number of the vector
is divided by its deviation *within* kinds, and where that pays, a projection whitens the
differences within kinds whole (within-class covariance normalisation, Hatch et al. 2006, of
speaker verification).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter

from napari_hemacells.core.errors import BundleError
from napari_hemacells.core.files.fsio import write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.types import EncoderInfo

ThresholdRule: TypeAlias = Literal["equal_error", "youden"] | float

FARTHEST = 2.0  # between two unit vectors
MIN_CELLS, MIN_KINDS = 4, 2  # with fewer there is nothing to learn a distance from
MAX_PER_KIND = 100  # cells of a kind that are learned from: more change little
MAX_TURNS = 15  # pairs of kinds that are left out in turn
FOLDS = 4  # of cells, where there are too few kinds to leave two out
KINDS_TO_LEAVE_OUT = 4  # two are left out, and two have to stay
SHRINKAGE = (None, 0.5)  # of the covariance within kinds that are tried; None: no projection
LEAST_GAIN = 0.01  # of AUROC for which a projection is worth it
PRIOR_CELLS = 5.0  # imagined cells whose deviation is that of all kinds together
CURVE_POINTS = 101
FORMAT, VERSION = "napari-hemacells likeness", 1
PRIOR_PAIRS = 4.0  # imagined pairs that keep the calibration from certainty


class ThresholdCurve(NamedTuple):
    """What each threshold would do, on kinds (or cells) that the distance was not learned from.

    Attributes
    ----------
    thresholds
        ``(t,)`` ascending distances.
    false_match
        ``(t,)`` share of pairs of different kinds that are called the same.
    false_non_match
        ``(t,)`` share of pairs of one kind that are called different.
    """

    thresholds: NDArray[np.float64]
    false_match: NDArray[np.float64]
    false_non_match: NDArray[np.float64]

    @property
    def equal_error(self) -> float:
        """Error rate at the threshold where both errors are equal."""
        at = np.argmin(np.abs(self.false_match - self.false_non_match))
        return float((self.false_match[at] + self.false_non_match[at]) / 2)


NO_CURVE = ThresholdCurve(np.empty(0), np.empty(0), np.empty(0))


@dataclass(frozen=True, eq=False)
class Likeness:
    """How unlike two cells are, and up to where they are of the same kind.

    Attributes
    ----------
    projection
        ``(dim, k)`` float32 that embeddings are multiplied with; ``None`` takes them as they are.
    threshold
        Distance up to which two cells are called the same kind.
    middle, slope
        Calibration: the distance at which "the same" and "different" are equally probable, and
        how fast the logit falls with the distance. For as many pairs of each.
    learned_from
        What it was learned from, in words.
    centre, scale
        ``(dim,)`` float32: subtracted first, and multiplied with then; ``None`` for nothing.
    curve
        The errors of each threshold; empty where none was measured.
    auroc
        Of the distance, on the pairs of the curve; ``None`` where none was measured.
    kinds_left_out
        Whether threshold and calibration are those of kinds that nothing was learned from. If
        not, :meth:`p_same` is too sure of new kinds, and is not shown as a percentage.
    encoder_sha256
        Hash of the encoder whose vectors it compares; empty where it is not known.
    """

    projection: NDArray[np.float32] | None
    threshold: float
    middle: float
    slope: float
    learned_from: str
    centre: NDArray[np.float32] | None = None
    scale: NDArray[np.float32] | None = None
    curve: ThresholdCurve = NO_CURVE
    auroc: float | None = None
    kinds_left_out: bool = False
    encoder_sha256: str = ""

    def transform(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """``(n, k)`` float32 unit vectors of ``(n, dim)`` embeddings; a zero vector stays zero."""
        rows = np.asarray(vectors, dtype=np.float32)
        if self.centre is not None:
            rows = rows - self.centre
        if self.scale is not None:
            rows = rows * self.scale
        if self.projection is not None:
            rows = rows @ self.projection
        return _unit(rows)

    def distances(
        self, first: NDArray[np.floating], second: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """``(n, m)`` float32 distances, 0 to 2, of ``(n, dim)`` and ``(m, dim)`` embeddings."""
        return unit_distances(self.transform(first), self.transform(second))

    def p_same(self, distances: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probability of the same kind, of the shape of the distances; falls with the distance.

        As if pairs of one kind and of two kinds were equally frequent.
        """
        logit = self.slope * (self.middle - np.asarray(distances, dtype=np.float64))
        return _sigmoid(logit)

    def same(self, distances: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Whether each distance means the same kind."""
        return np.asarray(distances) <= self.threshold

    def with_rule(self, rule: ThresholdRule) -> Likeness:
        """Return the same distance with the threshold of another rule, from its curve.

        Raises
        ------
        ValueError
            No curve was measured, or a false-match rate is not within 0 and 1.
        """
        return replace(self, threshold=threshold_on_curve(self.curve, rule))

    def save(self, path: Path) -> None:
        """Write it to a safetensors file; raises :class:`StorageError` where that cannot be."""
        from safetensors.numpy import save

        arrays = {"centre": self.centre, "scale": self.scale, "projection": self.projection}
        held = {
            name: np.ascontiguousarray(array)
            for name, array in arrays.items()
            if array is not None
        }
        about = {
            "threshold": self.threshold,
            "middle": self.middle,
            "slope": self.slope,
            "learned_from": self.learned_from,
            "auroc": self.auroc,
            "kinds_left_out": self.kinds_left_out,
            "encoder_sha256": self.encoder_sha256,
        }
        curve = {f"curve.{name}": part for name, part in self.curve._asdict().items()}
        header = {"format": FORMAT, "version": str(VERSION), "about": json.dumps(about)}
        write_bytes(path, save({**held, **curve}, metadata=header))

    @classmethod
    def load(cls, path: Path) -> Likeness:
        """Return what :meth:`save` wrote.

        Raises
        ------
        BundleError
            The file is missing, damaged, or holds something else.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as stored:
                header = stored.metadata() or {}
                arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            if header["format"] != FORMAT or int(header["version"]) > VERSION:
                raise BundleError(
                    f"{path} holds no likeness of this version: choose another file."
                )
            about = _ABOUT.validate_json(header["about"])
            curve = ThresholdCurve(
                *(arrays.pop(f"curve.{name}") for name in ThresholdCurve._fields)
            )
            _check_arrays(arrays, curve)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise BundleError(
                f"{path} is damaged or holds no likeness: choose another file, or fit it anew."
            ) from error
        return cls(**about.model_dump(), curve=curve, **{"projection": None, **arrays})


class _About(BaseModel):
    """What the header of the file says."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    threshold: float
    middle: float
    slope: float
    learned_from: str
    auroc: float | None
    kinds_left_out: bool = False
    encoder_sha256: str = ""


_ABOUT = TypeAdapter(_About)


def _check_arrays(arrays: dict[str, NDArray[Any]], curve: ThresholdCurve) -> None:
    """Raise ValueError where the parts do not fit one another."""
    axes = {"centre": 1, "scale": 1, "projection": 2}
    fits = (
        all(array.ndim == axes.get(name) for name, array in arrays.items())
        and len({len(array) for array in arrays.values()}) <= 1
        and len({part.shape for part in curve}) == 1
        and curve.thresholds.ndim == 1
    )
    if not fits:
        raise ValueError("the arrays do not fit one another")


# Equal-error thresholds of cosines without projection, and the logistic fit beside them:
# benchmarks/verification.py --references, all pairs of PBC's eight kinds, 50 cells each.
_REFERENCES = {
    "efficientnet_lite0.imagenet": (0.563, 0.567, 13.7),
    "hemacells-blood-1": (0.677, 0.675, 19.9),
    "hemacells-blood-2": (0.678, 0.679, 20.9),
}


def default_likeness(encoder: EncoderInfo | None = None) -> Likeness:
    """Return the distance of an encoder's vectors as they are, for when too little is annotated.

    The threshold is that of a reference set (PBC), and no more than a first guess elsewhere.
    """
    name = "" if encoder is None else encoder.name.partition(",")[0]
    known = name in _REFERENCES
    threshold, middle, slope = _REFERENCES[name if known else "efficientnet_lite0.imagenet"]
    words = (
        "Nothing is learned from your cells yet: the threshold comes from "
        + ("a reference set (PBC)" if known else "another encoder")
        + ", so take it as a first guess. Annotate two kinds or more, four cells at least."
    )
    return Likeness(None, threshold, middle, slope, words)


def fit_likeness(
    vectors: NDArray[np.floating],
    labels: Sequence[str],
    *,
    seed: int = 0,
    rule: ThresholdRule = "equal_error",
    encoder: EncoderInfo | None = None,
) -> Likeness:
    """Learn a distance and its threshold from a few annotated cells, in seconds.

    With four kinds or more, two kinds at a time are left out, and the threshold is chosen on
    pairs of cells of these: it is that of new kinds. With fewer kinds, cells are left out.

    Parameters
    ----------
    vectors, labels
        ``(n, dim)`` embeddings and their ``(n,)`` kinds.
    seed
        For drawing cells of kinds with very many, and folds.
    rule
        ``"equal_error"``: as many pairs wrongly called the same as wrongly called different;
        ``"youden"``: fewest errors in sum; a number: the false-match rate that is allowed.
    encoder
        Of the vectors, for :func:`default_likeness` where there are fewer than two kinds with two
        cells or fewer than four cells.

    Raises
    ------
    ValueError
        Vectors and labels do not fit, vectors are not finite, or the rule is none.
    """
    rows = np.asarray(vectors, dtype=np.float64)
    if rows.ndim != 2 or len(rows) != len(labels) or not np.isfinite(rows).all():
        raise ValueError("finite (n, dim) vectors and as many labels are needed")
    _check_rule(rule)
    names, kinds = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)
    counts = np.bincount(kinds, minlength=len(names))
    if len(rows) < MIN_CELLS or np.count_nonzero(counts > 1) < MIN_KINDS:
        return default_likeness(encoder)
    random = np.random.default_rng(seed)
    kept = _at_most(kinds, MAX_PER_KIND, random)
    rows, kinds = rows[kept], kinds[kept]
    turns = _turns(kinds, random)
    # cells left out of the same kinds say nothing of new ones: a projection would only lose these
    candidates = SHRINKAGE if _by_kind(kinds) else SHRINKAGE[:1]
    tried = [held_out_pairs(rows, kinds, turns, shrinkage) for shrinkage in candidates]
    aurocs = [auroc_of(*pairs) for pairs in tried]
    best = int(np.argmax(aurocs))
    if aurocs[best] < aurocs[0] + LEAST_GAIN:
        best = 0
    distances, same = tried[best]
    whitening = _fit_whitening(rows, kinds, SHRINKAGE[best])
    curve = threshold_curve(distances, same)
    middle, slope = _logistic(distances, same)
    projection = whitening.projection
    return Likeness(
        None if projection is None else projection.astype(np.float32),
        threshold_on_curve(curve, rule),
        middle,
        slope,
        _in_words(names[np.unique(kinds)], kinds, turns),
        whitening.centre.astype(np.float32),
        whitening.scale.astype(np.float32),
        curve,
        aurocs[best],
        _by_kind(kinds),
        "" if encoder is None else encoder.sha256,
    )


def likeness_of_pairs(
    distances: NDArray[np.floating],
    same: NDArray[np.bool_],
    learned_from: str,
    rule: ThresholdRule = "equal_error",
) -> Likeness:
    """Return the plain distance of a network that was trained for it, with its threshold.

    Parameters
    ----------
    distances, same
        ``(p,)`` pairs that the network was not trained on, and whether each is of one kind.

    Raises
    ------
    ValueError
        There are no pairs of one kind, or none of two.
    """
    if same.all() or not same.any():
        raise ValueError("pairs of one kind and of two kinds are needed")
    apart = np.asarray(distances, dtype=np.float64)
    curve = threshold_curve(apart, same)
    middle, slope = _logistic(apart, same)
    threshold = threshold_on_curve(curve, rule)
    return Likeness(
        None, threshold, middle, slope, learned_from, curve=curve, auroc=auroc_of(apart, same)
    )


def pair_distances(
    vectors: NDArray[np.floating], kinds: NDArray[np.generic]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the distances of all pairs of ``(n, dim)`` vectors, and which are of one kind."""
    unit = _unit(vectors)
    first, second = np.triu_indices(len(unit), 1)
    return (
        unit_distances(unit, unit)[first, second].astype(np.float64),
        np.asarray(kinds[first] == kinds[second]),
    )


def held_out_pairs(
    vectors: NDArray[np.float64],
    kinds: NDArray[np.intp],
    turns: Sequence[NDArray[np.bool_]],
    shrinkage: float | None,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the distances of pairs that are left out in turn, and whether each is of one kind.

    Parameters
    ----------
    vectors, kinds
        ``(n, dim)`` and ``(n,)``.
    turns
        Each ``(n,)``: the cells that are left out. Both cells of a pair are.
    shrinkage
        Of the covariance within kinds; ``None`` for no projection.
    """
    distances, same = [], []
    for out in turns:
        kept = ~out if not out.all() else out  # too few cells to leave any out
        unit = _fit_whitening(vectors[kept], kinds[kept], shrinkage).transform(vectors[out])
        apart, alike = pair_distances(unit, kinds[out])
        distances.append(apart)
        same.append(alike)
    return np.concatenate(distances), np.concatenate(same)


def unit_distances(
    first: NDArray[np.floating], second: NDArray[np.floating]
) -> NDArray[np.float32]:
    """``(n, m)`` float32 Euclidean distances of ``(n, k)`` and ``(m, k)`` unit vectors."""
    cosine = np.asarray(first @ second.T, dtype=np.float32)
    return np.asarray(np.sqrt(np.clip(2.0 - 2.0 * cosine, 0.0, FARTHEST**2)), dtype=np.float32)


def threshold_curve(
    distances: NDArray[np.floating], same: NDArray[np.bool_], points: int = CURVE_POINTS
) -> ThresholdCurve:
    """Return both errors at thresholds through the distances of ``(n,)`` pairs."""
    thresholds = np.unique(np.quantile(distances, np.linspace(0, 1, points)))
    alike, unlike = np.sort(distances[same]), np.sort(distances[~same])
    called = [np.searchsorted(part, thresholds, side="right") for part in (alike, unlike)]
    return ThresholdCurve(
        thresholds,
        called[1] / max(len(unlike), 1),
        1.0 - called[0] / max(len(alike), 1),
    )


def threshold_on_curve(curve: ThresholdCurve, rule: ThresholdRule) -> float:
    """Return the threshold of a rule (:func:`fit_likeness` names them).

    Raises
    ------
    ValueError
        The curve is empty, or the rule is none.
    """
    _check_rule(rule)
    if not len(curve.thresholds):
        raise ValueError("no curve was measured")
    if rule == "equal_error":
        return _crossing(curve)
    if rule == "youden":
        return float(curve.thresholds[np.argmin(curve.false_match + curve.false_non_match)])
    allowed = curve.false_match <= float(rule)
    return float(curve.thresholds[allowed].max()) if allowed.any() else 0.0


def auroc_of(distances: NDArray[np.floating], same: NDArray[np.bool_]) -> float:
    """Return the probability that a pair of one kind is nearer than one of two kinds."""
    alike, unlike = np.sort(distances[same]), distances[~same]
    if not len(alike) or not len(unlike):
        return 0.5
    below = np.searchsorted(alike, unlike, side="left")
    upto = np.searchsorted(alike, unlike, side="right")
    return float((below + upto).mean() / 2 / len(alike))


def _check_rule(rule: ThresholdRule) -> None:
    if isinstance(rule, str):
        if rule not in {"equal_error", "youden"}:
            raise ValueError(f"there is no rule {rule}: equal_error, youden, or a number")
    elif not 0.0 <= rule <= 1.0:
        raise ValueError("a false-match rate is within 0 and 1")


def _crossing(curve: ThresholdCurve) -> float:
    """Return the threshold at which both errors are equal, between two points of the curve."""
    excess = curve.false_match - curve.false_non_match  # rises from -1 to 1
    after = int(np.searchsorted(excess, 0.0))
    if after == 0 or after == len(excess):
        return float(curve.thresholds[min(after, len(excess) - 1)])
    low, high = excess[after - 1], excess[after]
    share = -low / (high - low)
    first, second = curve.thresholds[after - 1 : after + 1]
    return float(first + share * (second - first))


class _Whitening(NamedTuple):
    """Centre, scale and projection of :class:`Likeness`, in double precision."""

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    projection: NDArray[np.float64] | None

    def transform(self, vectors: NDArray[np.float64]) -> NDArray[np.float32]:
        rows = (vectors - self.centre) * self.scale
        return _unit(rows if self.projection is None else rows @ self.projection)


def _fit_whitening(
    rows: NDArray[np.float64], kinds: NDArray[np.intp], shrinkage: float | None
) -> _Whitening:
    """Return what makes the differences within kinds alike in all directions."""
    centre = rows.mean(axis=0)
    moved = rows - centre
    within = moved - _means_of(moved, kinds)
    free = max(len(rows) - len(np.unique(kinds)), 0)
    squared = (within**2).sum(axis=0) + PRIOR_CELLS * (moved**2).mean(axis=0)
    deviation = np.sqrt(squared / (free + PRIOR_CELLS))
    usable = deviation > 1e-6 * max(float(deviation.max()), 1e-12)
    scale = np.where(usable, 1 / np.where(usable, deviation, 1), 0.0)
    if shrinkage is None:
        return _Whitening(centre, scale, None)
    _, lengths, axes = np.linalg.svd(moved * scale, full_matrices=False)
    axes = axes[lengths > 1e-6 * max(lengths[0], 1e-12)].T
    within = within * scale @ axes
    covariance = within.T @ within / max(free, 1)
    usual = np.trace(covariance) / max(len(covariance), 1)
    if usual <= 0:
        return _Whitening(centre, scale, None)
    shrunk = (1 - shrinkage) * covariance + shrinkage * usual * np.eye(len(covariance))
    values, directions = np.linalg.eigh(shrunk)
    return _Whitening(centre, scale, axes @ (directions / np.sqrt(values)))


def _means_of(points: NDArray[np.float64], kinds: NDArray[np.intp]) -> NDArray[np.float64]:
    """``(n, k)`` the mean of each point's kind."""
    _, owner = np.unique(kinds, return_inverse=True)
    counts = np.bincount(owner)
    sums = np.zeros((len(counts), points.shape[1]))
    np.add.at(sums, owner, points)
    return np.asarray((sums / counts[:, np.newaxis])[owner])


def _by_kind(kinds: NDArray[np.intp]) -> bool:
    """Whether kinds are left out, and not cells."""
    return bool(np.count_nonzero(np.bincount(kinds) > 1) >= KINDS_TO_LEAVE_OUT)


def _turns(kinds: NDArray[np.intp], random: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Return which cells are left out in each turn: those of two kinds, or a part of each kind."""
    if _by_kind(kinds):
        several = np.flatnonzero(np.bincount(kinds) > 1)
        pairs = list(combinations(several.tolist(), 2))
        chosen = random.permutation(len(pairs))[:MAX_TURNS]
        return [np.isin(kinds, pairs[index]) for index in sorted(chosen.tolist())]
    folds = np.empty(len(kinds), dtype=np.intp)
    fewest = int(min(count for count in np.bincount(kinds) if count > 1))
    count = max(2, min(FOLDS, fewest // 2))
    for kind in np.unique(kinds):
        own = np.flatnonzero(kinds == kind)
        folds[random.permutation(own)] = np.arange(len(own)) % count
    turns = [folds == fold for fold in range(count)]
    return turns if fewest >= 2 * count else [np.ones(len(kinds), dtype=np.bool_)]


def _at_most(kinds: NDArray[np.intp], most: int, random: np.random.Generator) -> NDArray[np.intp]:
    """Return rows of at most so many cells of each kind."""
    chosen = [
        random.permutation(np.flatnonzero(kinds == kind))[:most] for kind in np.unique(kinds)
    ]
    return np.sort(np.concatenate(chosen))


def _logistic(distances: NDArray[np.float64], same: NDArray[np.bool_]) -> tuple[float, float]:
    """Return middle and slope of the logistic curve through pairs, both sorts counting alike.

    With :data:`PRIOR_PAIRS` imagined pairs of the other sort at each mean (Platt 1999), so that
    few pairs that are told apart whole do not make certainty.
    """
    counts = np.array([np.count_nonzero(~same), np.count_nonzero(same)], dtype=np.float64)
    target = np.where(same, 1 - 1 / (counts[1] + 2), 1 / (counts[0] + 2))
    target += (0.5 - target) * PRIOR_PAIRS / (counts.sum() + PRIOR_PAIRS)
    weight = 0.5 / counts[same.astype(int)]
    scale = max(float(distances.std()), 1e-6)
    design = np.stack([np.ones_like(distances), (distances - distances.mean()) / scale], axis=1)
    found = np.zeros(2)
    for _ in range(50):
        p = _sigmoid(design @ found)
        gradient = design.T @ (weight * (p - target)) + 1e-4 * found
        curvature = (design * (weight * p * (1 - p))[:, np.newaxis]).T @ design + 1e-4 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        found -= step
        if np.abs(step).max() < 1e-8:
            break
    slope = max(-found[1] / scale, 1e-3)  # never rises with the distance
    middle = float(distances.mean() + found[0] / slope)
    return float(np.clip(middle, 0.0, FARTHEST)), float(slope)


def _in_words(
    names: NDArray[np.str_], kinds: NDArray[np.intp], turns: Sequence[NDArray[np.bool_]]
) -> str:
    listed = ", ".join(names.tolist()[:8]) + (" and others" if len(names) > 8 else "")
    how = "kinds left out in turn" if _by_kind(kinds) else "cells left out in turn"
    if turns[0].all():
        how = "these cells themselves, too few to leave any out"
    return f"{len(kinds)} annotated cells of {len(names)} kinds ({listed}); threshold from {how}."


def _unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1), dtype=np.float32)


def _sigmoid(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logit)))
