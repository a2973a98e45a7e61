"""The honest few-shot experiment on a folder of class folders."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.classify import Support, fit
from napari_hemacells.core.encode import EmbeddingCache
from napari_hemacells.core.errors import AnnotationError
from napari_hemacells.core.evaluate.folder import embed_folder_steps
from napari_hemacells.core.evaluate.intervals import interval
from napari_hemacells.core.evaluate.metrics import Scores, score
from napari_hemacells.core.types import CropSpec, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.classify import Head
    from napari_hemacells.core.encode import Encoder
    from napari_hemacells.core.evaluate.folder import ClassFolder

INTERVAL = "where the middle 95 % of the draws lie (a new draw of clicks), not of their mean"
SPLIT = "random crops of the same folder; no grouping by patient or slide is known"
STANDARDISATION = "on the annotated crops only; the scored crops are not looked at"


@dataclass(frozen=True)
class ShotScore:
    """Figures for one number of shots, over the draws, 0 to 1."""

    balanced_accuracy: float
    std: float
    ci95: tuple[float, float]
    macro_f1: float
    macro_f1_ci95: tuple[float, float]


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

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "shots": {str(count): vars(figures) for count, figures in self.shots.items()},
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
            "interval": INTERVAL,
            "split": SPLIT,
            "standardisation": STANDARDISATION,
            "unreadable": list(self.unreadable),
        }


def fewshot(  # noqa: PLR0917
    folder: str | Path,
    shots: Sequence[int],
    repeats: int,
    seed: int,
    encoder: Encoder,
    progress: Callable[[Progress], None] | None = None,
) -> FewShotReport:
    """Return :func:`fewshot_steps` run to its end; `progress` is told of each step."""
    steps = fewshot_steps(folder, shots, encoder, repeats=repeats, seed=seed)
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
) -> Generator[Progress, None, FewShotReport]:
    """Return how well a few crops a class tell all others of a folder; yield while it runs.

    Each draw takes that many crops of each class at random, fits the head that a user would get,
    and scores it on all other crops. A class takes part if it has more crops than the largest
    number of shots, so that every row of the table speaks of the same classes; the others are
    named. Vectors are kept on disk by the content of the files, so a second run is quick.

    Raises
    ------
    ImageError
        No class folders, or no readable picture.
    AnnotationError
        Fewer than two classes have enough crops.
    """
    spec = spec or CropSpec()
    cache = EmbeddingCache(cache_folder or default_cache_folder())
    crops = yield from embed_folder_steps(Path(folder), spec, encoder, cache)
    classes, left_out = _enough(crops, max(shots))
    taking_part = np.isin(crops.labels, list(classes))
    vectors, labels = crops.vectors[taking_part], np.array(crops.labels)[taking_part]
    found: dict[int, ShotScore] = {}
    heads: dict[str, None] = {}
    for row, count in enumerate(shots):
        draws: list[Scores] = []
        for draw in range(repeats):
            head, scores = _draw(
                vectors, labels, count, np.random.default_rng([seed, count, draw])
            )
            draws.append(scores)
            heads[f"{count}: {head.kind}"] = None
            yield Progress(row * repeats + draw + 1, len(shots) * repeats, f"{count} shots")
        found[count] = _summary(draws)
    return FewShotReport(
        shots=found,
        encoder=encoder.info.name,
        encoder_sha256=encoder.info.sha256,
        seen=encoder.info.seen,
        crop={**spec.to_dict(), "framing": round(crops.framing, 4)},
        classes=classes,
        left_out=left_out,
        n=len(labels),
        repeats=repeats,
        seed=seed,
        heads=tuple(heads),
        unreadable=crops.unreadable,
    )


def default_cache_folder() -> Path:
    """Return where vectors are kept between runs."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("napari-hemacells")) / "embeddings"


def _enough(crops: ClassFolder, most: int) -> tuple[dict[str, int], dict[str, int]]:
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


def _draw(
    vectors: NDArray[np.float32],
    labels: NDArray[np.str_],
    shots: int,
    random: np.random.Generator,
) -> tuple[Head, Scores]:
    """Return the head fitted on one draw of crops, and its figures on all others."""
    names = [str(name) for name in np.unique(labels)]
    members = [np.flatnonzero(labels == name) for name in names]
    taught = np.concatenate([random.choice(one, shots, replace=False) for one in members])
    asked = np.setdiff1d(np.arange(len(labels)), taught)
    head = fit(Support(vectors[taught], tuple(labels[taught].tolist())), names)
    winner = head.scores(vectors[asked]).argmax(axis=1)
    return head, score(labels[asked], np.array(head.class_ids)[winner])


def _summary(draws: list[Scores]) -> ShotScore:
    accuracy, macro_f1 = np.array(draws).T
    return ShotScore(
        balanced_accuracy=float(accuracy.mean()),
        std=float(accuracy.std(ddof=1)) if len(draws) > 1 else 0.0,
        ci95=interval(accuracy),
        macro_f1=float(macro_f1.mean()),
        macro_f1_ci95=interval(macro_f1),
    )
