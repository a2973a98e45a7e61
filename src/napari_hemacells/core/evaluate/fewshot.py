"""The honest few-shot experiment on a folder of class folders.

One draw of a few-shot experiment: which crops teach, and how well the others are told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from napari_hemacells.core.annotate.class_table import palette_of_names, parents_by_name
from napari_hemacells.core.classify import SupportSet, fit_levels
from napari_hemacells.core.classify.active_learning import (
    cold_start,
    review_queue,
    select_cold_start,
)
from napari_hemacells.core.encode import EmbeddingCache
from napari_hemacells.core.errors import AnnotationError
from napari_hemacells.core.evaluate.calibration import measure_calibration
from napari_hemacells.core.evaluate.class_folders import (
    append_measured_features,
    embed_folder_steps,
)
from napari_hemacells.core.evaluate.classification_metrics import (
    ClassificationScores,
    percentile_interval,
    score_predictions,
)
from napari_hemacells.core.evaluate.two_levels import (
    LevelScores,
    best_within,
    score_levels,
    split_kinds,
)
from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.params import ClassifyParams
from napari_hemacells.core.types import CropSpec, Embeddings, EncoderInfo, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.annotate.class_table import ListedClass
    from napari_hemacells.core.classify import Head
    from napari_hemacells.core.encode import Encoder
    from napari_hemacells.core.evaluate.class_folders import ClassFolder
    from napari_hemacells.core.image.plane_selection import PlaneSelection
    from napari_hemacells.core.params import QueueOrder
    from napari_hemacells.core.types import Prediction

SelectionStrategy: TypeAlias = Literal["random", "diverse", "active"]
SIMULATED_FRACTION = 0.5  # of the crops among which a simulated user's draw takes place
RERANK_DIVISOR = 8  # a queue is asked again after an eighth more clicks than there are


class FewShotDraw(NamedTuple):
    """The figures of one draw, and which head gave them.

    Attributes
    ----------
    confusion
        ``(k, k)`` scored crops by true class (row) and answer (column).
    levels
        Of classes within kinds, the figures of both levels.
    """

    scores: ClassificationScores
    ece: float
    kind: str
    confusion: NDArray[np.int64]
    levels: LevelScores | None = None


@dataclass(frozen=True, eq=False)
class EmbeddedCrops:
    """Vectors of crops with their true classes.

    Attributes
    ----------
    vectors
        ``(n, dim)`` float32.
    labels
        ``(n,)`` class names.
    params
        Which head; whether the crops without a click teach as well.
    parents
        The kind of each class whose kind has several (:func:`.split_kinds`).
    """

    vectors: NDArray[np.float32]
    labels: NDArray[np.str_]
    params: ClassifyParams
    parents: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The classes, sorted."""
        return [str(name) for name in np.unique(self.labels)]

    def fit(self, taught: NDArray[np.intp]) -> Head:
        """Return the head that a user would get who had clicked these crops."""
        support = SupportSet(self.vectors[taught], tuple(self.labels[taught].tolist()))
        context = self.vectors if self.params.unlabelled else None
        kinds = list(dict.fromkeys(self.parents.values()))
        return fit_levels(
            support, [*kinds, *self.names], self.parents, context=context, params=self.params
        )

    def embeddings(self) -> Embeddings:
        """The vectors with their places as ids."""
        info = EncoderInfo("crops", "", self.vectors.shape[1])
        return Embeddings(np.arange(len(self.labels)), self.vectors, info, CropSpec(), "crops")


def score_draw(crops: EmbeddedCrops, taught: NDArray[np.intp]) -> FewShotDraw:
    """Return how well the crops that were not taught are told."""
    head = crops.fit(taught)
    asked = np.setdiff1d(np.arange(len(crops.labels)), taught)
    prediction = head.predict(crops.embeddings())
    answered = np.array(head.class_ids)[prediction.predicted_column]
    if crops.parents:  # a kind of which one class has a click is answered as that class
        only = {crops.parents.get(name, name): name for name in crops.labels[taught]}
        answered = np.array([only.get(name, name) for name in answered])
    right = answered == crops.labels
    figures = score_predictions(crops.labels[asked], answered[asked])
    rows, columns = (np.searchsorted(crops.names, of[asked]) for of in (crops.labels, answered))
    confusion = np.zeros((len(crops.names),) * 2, dtype=np.int64)
    np.add.at(confusion, (rows, columns), 1)
    return FewShotDraw(
        figures,
        measure_calibration(prediction.confidence[asked], right[asked]).ece,
        head.kind,
        confusion,
        _levels(crops, head, prediction, answered, asked),
    )


def _levels(
    crops: EmbeddedCrops,
    head: Head,
    prediction: Prediction,
    answered: NDArray[np.str_],
    asked: NDArray[np.intp],
) -> LevelScores | None:
    if not crops.parents:
        return None
    truth = crops.labels[asked]
    inside = best_within(
        prediction.probabilities[asked], head.class_ids, truth.tolist(), crops.parents
    )
    return score_levels(truth, answered[asked], inside, crops.parents)


def unknown_auroc(
    crops: EmbeddedCrops, shots: int, random: np.random.Generator
) -> dict[str, float]:
    """Return for each class how well its crops are found when it is nobody's class.

    The area under the ROC curve of the score *unknown*: crops of the class left out against all
    others that were not clicked.
    """
    from sklearn.metrics import roc_auc_score

    aurocs = {}
    for left_out in crops.names:
        known = [name for name in crops.names if name != left_out]
        taught = select_shots(crops, known, shots, "random", random)
        asked = np.setdiff1d(np.arange(len(crops.labels)), taught)
        prediction = crops.fit(taught).predict(crops.embeddings())
        if prediction.unknown is not None:
            truth = crops.labels[asked] == left_out
            aurocs[left_out] = float(roc_auc_score(truth, prediction.unknown[asked]))
    return aurocs


def select_shots(
    crops: EmbeddedCrops,
    names: list[str],
    shots: int,
    how: SelectionStrategy,
    random: np.random.Generator,
) -> NDArray[np.intp]:
    """Return the crops that teach.

    ``random``: so many of each class. ``diverse``: so many of each class that differ most, among
    a random half of it. ``active``: as many in all, as a queue proposes them to a user who knows
    every class, among a random half of all crops; a class may get more or fewer.
    """
    if how == "active":
        part = random.permutation(len(crops.labels))[
            : round(SIMULATED_FRACTION * len(crops.labels))
        ]
        *_, taught = simulate_clicks(crops, part, shots * len(names), "active")
        return taught
    members = [np.flatnonzero(crops.labels == name) for name in names]
    if how == "random":
        return np.concatenate(
            [random.choice(indices, shots, replace=False) for indices in members]
        )
    halves = [
        random.choice(indices, max(shots, round(SIMULATED_FRACTION * len(indices))), replace=False)
        for indices in members
    ]
    return np.concatenate([half[select_cold_start(crops.vectors[half], shots)] for half in halves])


def simulate_clicks(
    crops: EmbeddedCrops,
    part: NDArray[np.intp],
    clicks: int,
    order: QueueOrder | Literal["random"],
) -> Iterator[NDArray[np.intp]]:
    """Yield what a simulated user has clicked, after each batch that the queue proposed.

    The user knows every crop's class; a batch is one click at first, later an eighth of the
    clicks before. ``random`` follows the order of `part`.
    """
    inside = EmbeddedCrops(crops.vectors[part], crops.labels[part], crops.params)
    embeddings, clicks = inside.embeddings(), min(clicks, len(part))
    labelled: list[int] = []
    while len(labelled) < clicks:
        more = min(max(1, len(labelled) // RERANK_DIVISOR), clicks - len(labelled))
        if order == "random":
            labelled = list(range(len(labelled) + more))
        elif not labelled and order == "active":
            queue = review_queue(embeddings.ids, None, embeddings, order, annotated=set())
            labelled = queue[: min(clicks, len(crops.names))]
        elif not labelled:
            labelled = cold_start(embeddings, min(clicks, len(crops.names)))
        else:
            prediction = inside.fit(np.array(labelled)).predict(embeddings)
            done = set(labelled)
            queue = review_queue(embeddings.ids, prediction, embeddings, order, annotated=done)
            labelled += queue[:more]
        yield part[labelled]


INTERVAL = "where the middle 95 % of the draws lie (a new draw of clicks), not of their mean"
SPLIT = "random crops of the same folder; no grouping by patient or slide is known"
STANDARDISATION = "on the annotated crops only; the scored crops are not looked at"
TRANSDUCTIVE = (
    "transductive, as in the app: the scored crops are there as cells without a click, their "
    "classes unknown; --no-unlabelled keeps them out"
)
SELECTION_NOTES = {
    "random": "random crops of each class",
    "diverse": "the most different crops of a random half of each class",
    "active": "what the queue proposes from a random half, as many clicks in all",
}
UNKNOWN_DRAWS = 10  # draws, a class at a time, for the figure of unknown cells


@dataclass(frozen=True)
class ShotScore:
    """Figures for one number of shots, over the draws, 0 to 1.

    Attributes
    ----------
    ece
        Expected calibration error on the scored crops, ten bins of equal mass, mean over draws.
    unknown_auroc
        Mean over the classes, each left out in turn; ``None`` with fewer than three classes.
    unknown_by_class
        That of each class.
    confusion
        Rows by true class, columns by answer, in the order of the classes: the mean number of
        scored crops a draw.
    by_class
        Sensitivity and specificity of each class: mean over the draws, and where the middle 95 %
        of them lie.
    levels
        Balanced accuracy of the ``kind``, and ``within`` the true kind: mean over the draws, and
        where the middle 95 % of them lie. Empty where no class is within a kind.
    """

    balanced_accuracy: float
    std: float
    ci95: tuple[float, float]
    macro_f1: float
    macro_f1_ci95: tuple[float, float]
    ece: float = 0.0
    ece_ci95: tuple[float, float] = (0.0, 0.0)
    unknown_auroc: float | None = None
    unknown_by_class: dict[str, float] = field(default_factory=dict)
    confusion: tuple[tuple[float, ...], ...] = ()
    by_class: dict[str, dict[str, float]] = field(default_factory=dict)
    levels: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON; ``levels`` only where classes are within kinds."""
        return {name: value for name, value in vars(self).items() if value or name != "levels"}


@dataclass(frozen=True)
class FewShotReport:
    """What the experiment found and what it stands on.

    Attributes
    ----------
    shots
        Figures by number of crops a class.
    classes
        Crops of each class that took part; `left_out` those of the classes with too few.
    n
        Crops that took part: in each draw the shots teach and all others are scored.
    unreadable
        Sentences about the files that could not be read.
    """

    shots: dict[int, ShotScore]
    encoder: str
    encoder_sha256: str
    seen: str
    crop: dict[str, Any]
    classes: dict[str, int]
    left_out: dict[str, int]
    n: int
    repeats: int
    seed: int
    heads: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = field(default=())
    select: SelectionStrategy = "random"
    unlabelled: bool = True
    measured: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "shots": {str(count): figures.to_dict() for count, figures in self.shots.items()},
            "encoder": self.encoder,
            "encoder_sha256": self.encoder_sha256,
            "encoder_has_seen": self.seen,
            "crop": self.crop,
            "classes": self.classes,
            "left_out": self.left_out,
            "n": self.n,
            "repeats": self.repeats,
            "seed": self.seed,
            "heads": list(self.heads),
            "select": self.select,
            "selected": SELECTION_NOTES[self.select],
            "transductive": self.unlabelled,
            "size_colour_nucleus": self.measured,
            "interval": INTERVAL,
            "split": SPLIT,
            "standardisation": TRANSDUCTIVE if self.unlabelled else STANDARDISATION,
            "unreadable": list(self.unreadable),
        }


def fewshot(  # noqa: PLR0917
    folder: str | Path,
    shots: Sequence[int],
    repeats: int,
    seed: int,
    encoder: Encoder,
    progress: Callable[[Progress], None] | None = None,
    *,
    params: ClassifyParams | None = None,
    select: SelectionStrategy = "random",
    spec: CropSpec | None = None,
) -> FewShotReport:
    """Return :func:`fewshot_steps` run to its end; `progress` is told of each step."""
    steps = fewshot_steps(
        folder,
        shots,
        encoder,
        repeats=repeats,
        seed=seed,
        spec=spec,
        params=params,
        how=select,
    )
    while True:
        try:
            report = next(steps)
        except StopIteration as end:
            result: FewShotReport = end.value
            return result
        if progress is not None:
            progress(report)


def fewshot_steps(
    folder: str | Path,
    shots: Sequence[int],
    encoder: Encoder,
    *,
    repeats: int = 50,
    seed: int = 0,
    spec: CropSpec | None = None,
    cache_folder: Path | None = None,
    params: ClassifyParams | None = None,
    how: SelectionStrategy = "random",
    selection: PlaneSelection = WHOLE_PICTURE,
    two_levels: bool = False,
    table: Sequence[ListedClass] = (),
) -> Generator[Progress, None, FewShotReport]:
    """Return how well a few crops a class tell all others of a folder; yield while it runs.

    Each draw takes that many crops of each class, fits the head that a user would get, and scores
    it on all other crops. A class takes part if it has more crops than the largest number of
    shots, so that every row of the table speaks of the same classes; the others are named.
    Vectors are kept on disk by the content of the files, so a second run is quick.

    Parameters
    ----------
    params
        Which head. With ``unlabelled`` the scored crops are there as cells without a click, as
        they are in the app; their classes are not.
    how
        Which crops teach; see :func:`napari_hemacells.core.evaluate.fewshot.select_shots`.
    selection
        The plane of stacks, and the channels.
    two_levels, table
        Which classes are within which kind: folders in class folders, or a table of classes.

    Raises
    ------
    ImageError
        No class folders, or no readable picture.
    AnnotationError
        Fewer than two classes have enough crops.
    """
    spec, params = spec or CropSpec(), params or ClassifyParams()
    cache = EmbeddingCache(cache_folder or default_cache_folder())
    read = yield from embed_folder_steps(
        Path(folder), spec, encoder, cache, selection=selection, two_levels=two_levels
    )
    classes, left_out = _split_by_size(read, max(shots))
    taking_part = np.isin(read.labels, list(classes))
    vectors = read.vectors
    if params.measured:
        vectors, _ = append_measured_features(vectors, read.files, encoder.info, read.reading)
    palette = palette_of_names(classes, table)
    parents = split_kinds(list(classes), parents_by_name(palette, classes))
    labels = np.array(read.labels)[taking_part]
    crops = EmbeddedCrops(vectors[taking_part], labels, params, parents)
    scores: dict[int, ShotScore] = {}
    heads: dict[str, None] = {}
    for row, count in enumerate(shots):
        draws: list[FewShotDraw] = []
        for draw in range(repeats):
            random = np.random.default_rng([seed, count, draw])
            draws.append(score_draw(crops, select_shots(crops, crops.names, count, how, random)))
            heads[f"{count}: {draws[-1].kind}"] = None
            yield Progress(row * repeats + draw + 1, len(shots) * repeats, f"{count} shots")
        scores[count] = _summary(
            draws,
            _mean_unknown_auroc(crops, count, min(repeats, UNKNOWN_DRAWS), seed),
            crops.names,
        )
    return FewShotReport(
        shots=scores,
        encoder=encoder.info.name,
        encoder_sha256=encoder.info.sha256,
        seen=encoder.info.seen,
        crop={**spec.to_dict(), "framing": round(read.framing, 4)},
        classes=classes,
        left_out=left_out,
        n=len(crops.labels),
        repeats=repeats,
        seed=seed,
        heads=tuple(heads),
        unreadable=read.unreadable,
        select=how,
        unlabelled=params.unlabelled,
        measured=params.measured,
    )


def default_cache_folder() -> Path:
    """Return where vectors are kept between runs."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("napari-hemacells")) / "embeddings"


def _split_by_size(crops: ClassFolder, most: int) -> tuple[dict[str, int], dict[str, int]]:
    """Return the crops of each class that has more than `most`, and of the others."""
    names, counts = np.unique(crops.labels, return_counts=True)
    sizes = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
    classes = {name: size for name, size in sizes.items() if size > most}
    if len(classes) < 2:
        raise AnnotationError(
            f"Two classes with more than {most} readable crops are needed, found: "
            + ", ".join(f"{name} {size}" for name, size in sizes.items())
            + ". Ask for fewer shots."
        )
    return classes, {name: size for name, size in sizes.items() if name not in classes}


def _mean_unknown_auroc(
    crops: EmbeddedCrops, shots: int, draws: int, seed: int
) -> dict[str, float]:
    """Return for each class the mean figure of finding it when it is left out."""
    if len(crops.names) < 3:
        return {}
    each = [
        unknown_auroc(crops, shots, np.random.default_rng([seed, shots, draw, 1]))
        for draw in range(draws)
    ]
    return {name: float(np.mean([aurocs[name] for aurocs in each])) for name in crops.names}


def sensitivity_and_specificity(
    confusions: NDArray[np.int64], names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return both of each class: mean over the draws, and the middle 95 % of them.

    Parameters
    ----------
    confusions
        ``(draws, k, k)`` by true class (row) and answer (column).
    """
    own = np.diagonal(confusions, axis1=1, axis2=2)
    given, predicted = confusions.sum(axis=2), confusions.sum(axis=1)
    others = confusions.sum(axis=(1, 2))[:, np.newaxis] - given
    shares = {
        "sensitivity": own / np.maximum(given, 1),
        "specificity": 1 - (predicted - own) / np.maximum(others, 1),
    }
    result: dict[str, dict[str, float]] = {}
    for index, name in enumerate(names):
        result[name] = {}
        for metric, values in shares.items():
            low, high = percentile_interval(values[:, index])
            result[name] |= {
                metric: float(values[:, index].mean()),
                f"{metric}_low": low,
                f"{metric}_high": high,
            }
    return result


def _summary(
    draws: list[FewShotDraw], unknown: dict[str, float], names: Sequence[str]
) -> ShotScore:
    accuracy, macro_f1 = np.array([draw.scores for draw in draws]).T
    confusions = np.stack([draw.confusion for draw in draws])
    errors = np.array([draw.ece for draw in draws])
    return ShotScore(
        balanced_accuracy=float(accuracy.mean()),
        std=float(accuracy.std(ddof=1)) if len(draws) > 1 else 0.0,
        ci95=percentile_interval(accuracy),
        macro_f1=float(macro_f1.mean()),
        macro_f1_ci95=percentile_interval(macro_f1),
        ece=float(errors.mean()),
        ece_ci95=percentile_interval(errors),
        unknown_auroc=float(np.mean(list(unknown.values()))) if unknown else None,
        unknown_by_class=unknown,
        confusion=tuple(tuple(row) for row in confusions.mean(axis=0).round(2).tolist()),
        by_class=sensitivity_and_specificity(confusions, names),
        levels=_levels_summary([draw.levels for draw in draws if draw.levels is not None]),
    )


def _levels_summary(draws: list[LevelScores]) -> dict[str, dict[str, Any]]:
    values = {
        "kind": [draw.kind.balanced_accuracy for draw in draws],
        "within": [draw.within.balanced_accuracy for draw in draws],
    }
    return {
        name: {"balanced_accuracy": float(np.mean(of)), "ci95": percentile_interval(of)}
        for name, of in values.items()
        if of
    }
