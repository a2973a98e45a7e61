"""Cross-validation of a study: temperatures, features, folds, figures.

Copies of a frame as the next frames of a series would be: what a split by image leaks.

Cross-validation many times over, whole patients or, to show what that flatters, frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from napari_hemacells.core.errors import ImageError, ThermogramError
from napari_hemacells.core.params import Params
from napari_hemacells.core.thermography.study.features import extract_features
from napari_hemacells.core.thermography.study.models import (
    METHOD,
    ThermogramModel,
    candidate_models,
    make_nearest_neighbour,
)
from napari_hemacells.core.thermography.study.roc import (
    CrossValidatedScores,
    auc,
    auc_gain,
    auc_near,
    roc_metrics,
)
from napari_hemacells.core.types import Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from napari_hemacells.core.encode import Encoder
    from napari_hemacells.core.thermography.study.exams import ExamData, ThermogramExam

NOISE, DRIFT, SHIFT = 0.05, 0.15, 4  # °C a pixel, °C a frame, pixels either way


def augment_copies(
    celsius: NDArray[np.float32], count: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float32]]:
    """Yield the frame, and copies: moved by some pixels, a little warmer or cooler, noisier."""
    yield celsius
    for _ in range(count - 1):
        rows, cols = rng.integers(-SHIFT, SHIFT + 1, 2)
        moved = np.roll(celsius, (int(rows), int(cols)), axis=(0, 1))
        noise = rng.normal(rng.normal(0, DRIFT), NOISE, celsius.shape)
        yield (moved + noise).astype(np.float32)


Fold = tuple[NDArray[np.int64], NDArray[np.int64]]


def stratified_group_splits(
    sick: NDArray[np.bool_], groups: NDArray[np.int64], *, folds: int, repeats: int, seed: int
) -> Iterator[list[Fold]]:
    """Yield for each repeat the folds as (learned from, judged) rows.

    Rows of one group are never in both; the share of sick ones is kept about the same.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    for repeat in range(repeats):
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed + repeat)
        rows = splitter.split(np.zeros(len(sick)), sick, groups)
        yield [(np.asarray(learn), np.asarray(judge)) for learn, judge in rows]


def cross_validate_scores(
    candidate: ThermogramModel,
    table: pd.DataFrame,
    sick: NDArray[np.bool_],
    folds_of_repeats: list[list[Fold]],
) -> CrossValidatedScores:
    """Return what the candidate says of each row when it was not learned from."""
    own = candidate.of(table)
    names, values = list(own.columns), own.to_numpy(np.float64)
    scores = np.full((len(folds_of_repeats), len(sick)), np.nan)
    called = np.zeros(scores.shape, dtype=np.bool_)
    for repeat, folds in enumerate(folds_of_repeats):
        for learn, judge in folds:
            if candidate.model is None:
                predicted = values[:, 0]
                limit = youden_threshold(predicted[learn], sick[learn])
            else:
                model = candidate.model(names).fit(values[learn], sick[learn])
                predicted, limit = model.predict_proba(values)[:, 1], 0.5
            scores[repeat, judge], called[repeat, judge] = (
                predicted[judge],
                predicted[judge] >= limit,
            )
    return CrossValidatedScores(scores, called)


def youden_threshold(scores: NDArray[np.float64], sick: NDArray[np.bool_]) -> float:
    """Return the limit at which sensitivity plus specificity is greatest (Youden's index)."""
    tried = np.unique(scores)
    middles = np.concatenate([tried[:1], (tried[1:] + tried[:-1]) / 2])
    index = [(scores[sick] >= limit).mean() + (scores[~sick] < limit).mean() for limit in middles]
    return float(middles[int(np.argmax(index))])


def aggregate_by_patient(
    answers: CrossValidatedScores,
    owners: NDArray[np.int64],
    patients: int,
    limit_shares: float = 0.5,
) -> CrossValidatedScores:
    """Return the answers of patients: the mean of their exams' scores; sick where most are."""
    count = np.bincount(owners, minlength=patients)
    scores = np.stack(
        [
            np.bincount(owners, repeat_scores, minlength=patients) / count
            for repeat_scores in answers.scores
        ]
    )
    shares = np.stack(
        [
            np.bincount(owners, repeat_called.astype(np.float64), minlength=patients) / count
            for repeat_called in answers.called
        ]
    )
    return CrossValidatedScores(scores, shares >= limit_shares)


BASELINES = ("max_temperature", "mean_temperature", "left_right_difference", "region_table")
IMAGE_SPLIT_WARNING = (
    "SPLIT BY IMAGE: copies of the same patient's frame are in what was learned from and in what "
    "was judged. These figures are too good and say nothing about a new patient; they are here "
    "to show by how much such a split flatters."
)


class EvaluateThermogramsParams(Params):
    """Parameters of the method and of its evaluation."""

    folds: int = Field(default=5, ge=2, le=50, description="Parts of the cross-validation.")
    repeats: int = Field(default=10, ge=1, le=1000, description="Times it is done over.")
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="The same seed, the same folds.")
    split: Literal["patient", "image"] = Field(
        default="patient",
        description=(
            "patient: whole patients, the only figure that means anything. image: frames, each "
            "with copies as a series would have, to show how far that flatters."
        ),
    )
    copies: int = Field(
        default=5, ge=2, le=100, description="Frames made of each exam for --split image."
    )


@dataclass(frozen=True, eq=False)
class FrameFeatures:
    """Features and patient of each frame."""

    table: pd.DataFrame
    sick: NDArray[np.bool_]
    days: NDArray[np.float64]
    patients: tuple[str, ...]
    left_out: tuple[str, ...]


def evaluate_thermograms_steps(
    exams: Sequence[ThermogramExam],
    data: ExamData,
    params: EvaluateThermogramsParams,
    encoder: Encoder,
) -> Generator[Progress, None, dict[str, Any]]:
    """Return the report as plain JSON; yield a step for every exam and every candidate.

    Parameters
    ----------
    encoder
        Of the breasts' crops; one that has seen no thermogram.

    Raises
    ------
    ThermogramError
        Fewer than two healthy or two sick patients have a thermogram.
    """
    rows = yield from _extract_frame_features(exams, data, params, encoder)
    names, owners = np.unique(np.array(rows.patients), return_inverse=True)
    sick = _mean_by_patient(rows.sick, owners, len(names)) > 0.5
    days = _mean_by_patient(rows.days, owners, len(names))
    by_image = params.split == "image"
    units = np.arange(len(rows.sick)) if by_image else owners
    folds = _feasible_folds(params.folds, rows.sick if by_image else sick)
    parts = list(
        stratified_group_splits(
            rows.sick, units, folds=folds, repeats=params.repeats, seed=params.seed
        )
    )
    answers: dict[str, CrossValidatedScores] = {}
    every = _models_to_compare(by_image)
    for done, (name, candidate) in enumerate(every.items()):
        yield Progress(done, len(every), f"Classifying: {name.replace('_', ' ')}")
        answer = cross_validate_scores(candidate, rows.table, rows.sick, parts)
        answers[name] = answer if by_image else aggregate_by_patient(answer, owners, len(names))
    truth = (rows.sick, rows.days) if by_image else (sick, days)
    return _report(answers, every, rows, truth=truth, params=params, folds=folds)


def _extract_frame_features(
    exams: Sequence[ThermogramExam],
    data: ExamData,
    params: EvaluateThermogramsParams,
    encoder: Encoder,
) -> Generator[Progress, None, FrameFeatures]:
    """Return the features of every exam (and its copies); unusable ones are left out."""
    rng = np.random.default_rng(params.seed)
    features: list[dict[str, float]] = []
    owner: list[ThermogramExam] = []
    left_out: list[str] = []
    for done, exam in enumerate(exams):
        yield Progress(done, len(exams), f"Measuring {exam.name}")
        if not exam.frontal:
            left_out.append(f"{exam.name}: not seen from the front")
            continue
        try:
            celsius = data.celsius(exam.name)
            if celsius is None:
                left_out.append(f"{exam.name}: not found")
                continue
            count = params.copies if params.split == "image" else 1
            own = [
                extract_features(augmented, encoder)
                for augmented in augment_copies(celsius, count, rng)
            ]
        except ImageError as error:
            left_out.append(f"{exam.name}: {error}")
            continue
        features += own
        owner += [exam] * len(own)
    if not features:
        raise ThermogramError(f"None of the {len(exams)} exams has temperatures in {data.source}.")
    days = [
        np.nan if owner_exam.date is None else float(owner_exam.date.toordinal())
        for owner_exam in owner
    ]
    return FrameFeatures(
        pd.DataFrame(features),
        np.array([owner_exam.sick for owner_exam in owner], dtype=np.bool_),
        np.array(days),
        tuple(owner_exam.patient for owner_exam in owner),
        tuple(left_out),
    )


def _models_to_compare(by_image: bool) -> dict[str, ThermogramModel]:
    """Return the models to compare; by image also nearest neighbour, which only memorises."""
    every = candidate_models()
    if by_image:
        table = every["region_table"]
        every["nearest_frame"] = ThermogramModel(
            "the class of the most similar frame of the region table",
            table.columns,
            make_nearest_neighbour,
        )
    return every


def _feasible_folds(folds: int, sick: NDArray[np.bool_]) -> int:
    """Return as many folds as both classes can fill.

    Raises
    ------
    ThermogramError
        Not even two.
    """
    least = int(min(sick.sum(), (~sick).sum()))
    if least < 2:
        raise ThermogramError(
            "Two healthy and two sick patients with a thermogram are needed at the least."
        )
    return min(folds, least)


def _mean_by_patient(
    values: NDArray[Any], owners: NDArray[np.int64], patients: int
) -> NDArray[np.float64]:
    count = np.bincount(owners, minlength=patients)
    return np.asarray(np.bincount(owners, values.astype(np.float64), patients) / count)


def _report(
    answers: dict[str, CrossValidatedScores],
    every: dict[str, ThermogramModel],
    rows: FrameFeatures,
    *,
    truth: tuple[NDArray[np.bool_], NDArray[np.float64]],
    params: EvaluateThermogramsParams,
    folds: int,
) -> dict[str, Any]:
    """Return the figures as plain JSON."""
    sick, days = truth
    figures = {
        name: {**roc_metrics(answer, sick, days, params.seed), "about": every[name].about}
        for name, answer in answers.items()
    }
    by_image = params.split == "image"
    unit = "frames (LEAKS: see warning)" if by_image else "whole patients"
    checks = {name: own for name, own in figures.items() if name not in {METHOD, *BASELINES}}
    return {
        METHOD: figures[METHOD],
        "baselines": {name: figures[name] for name in BASELINES},
        "checks": {**checks, "date": _date_baseline(sick, days)},
        "gain": {
            name: auc_gain(answers[METHOD], answers[name], sick, params.seed) for name in BASELINES
        },
        "split": f"{unit}, stratified, {folds} folds, {params.repeats} repeats, "
        f"seed {params.seed}",
        "warning": IMAGE_SPLIT_WARNING if by_image else None,
        "n_patients": len(set(rows.patients)),
        "n_sick": len({p for p, is_sick in zip(rows.patients, rows.sick, strict=True) if is_sick}),
        "n_frames": len(rows.sick),
        "interval": "95 %, 1000 bootstrap draws of " + ("frames" if by_image else "patients"),
        "left_out": list(rows.left_out),
    }


def _date_baseline(sick: NDArray[np.bool_], days: NDArray[np.float64]) -> dict[str, Any]:
    """Return the figures of the examination date alone, a confounder."""
    known = np.isfinite(days)
    value, near = auc(sick[known], days[known]), auc_near(sick, days, days)
    return {
        "auc": None if np.isnan(value) else round(value, 4),
        "auc_within_180_days": None if np.isnan(near) else round(near, 4),
        "about": "the later examined, the sicker: shows what season and protocol give away",
    }
