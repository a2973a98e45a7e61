"""How well new kinds are told apart: trained on some kinds, tested on pairs of others.

Imports torch. The protocol is that of the few-shot thesis.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_hemacells.core.classify.verification import (
    Likeness,
    auroc_of,
    fit_likeness,
)
from napari_hemacells.core.encode import load_encoder
from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.evaluate import list_class_folders
from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.params import SiameseParams
from napari_hemacells.core.train.selfsupervised.project_dataset import read_crops_steps
from napari_hemacells.core.train.siamese.config import SiameseJob, threshold_rule
from napari_hemacells.core.train.siamese.dataset import SiameseTrainingSet
from napari_hemacells.core.train.siamese.losses import draw_pairs
from napari_hemacells.core.train.siamese.trainer import SiameseStrategy, embed_steps
from napari_hemacells.core.train.trainer import Trainer
from napari_hemacells.core.types import Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.encode.protocol import Encoder
    from napari_hemacells.core.image.plane_selection import PlaneSelection

PAIRS = 3000  # of test cells, in each repeat
RESAMPLINGS = 200  # of the test cells, in each repeat, for the interval


class VerificationRepeat(NamedTuple):
    """Figures of one draw of the training images.

    Attributes
    ----------
    accuracy, auroc
        On balanced pairs of the test kinds.
    threshold
        As chosen on the training kinds.
    by_kinds
        Accuracy on the pairs of each two kinds.
    resampled
        ``(RESAMPLINGS,)`` accuracy with the test cells drawn again.
    """

    accuracy: float
    auroc: float
    threshold: float
    by_kinds: dict[str, float]
    resampled: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VerificationResult:
    """What came of all repeats.

    Attributes
    ----------
    test_images
        Number of pictures of each test kind.
    unreadable
        Sentences about files that cannot be read.
    """

    repeats: tuple[VerificationRepeat, ...]
    train_classes: tuple[str, ...]
    test_images: dict[str, int]
    per_class: int
    encoder: str
    seen: str
    params: SiameseParams
    pairs: int = PAIRS
    unreadable: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        accuracy = np.array([row.accuracy for row in self.repeats])
        low, high = np.quantile(
            np.concatenate([row.resampled for row in self.repeats]), (0.025, 0.975)
        )
        names = self.repeats[0].by_kinds
        return {
            "accuracy": round(float(accuracy.mean()), 4),
            "ci95": [round(float(low), 4), round(float(high), 4)],
            "auroc": round(float(np.mean([row.auroc for row in self.repeats])), 4),
            "threshold": round(float(np.mean([row.threshold for row in self.repeats])), 4),
            "accuracy_by_repeat": [round(value, 4) for value in accuracy.tolist()],
            "accuracy_by_kinds": {
                name: round(float(np.mean([row.by_kinds[name] for row in self.repeats])), 4)
                for name in names
            },
            "repeats": len(self.repeats),
            "per_class": self.per_class,
            "pairs": self.pairs,
            "train_classes": list(self.train_classes),
            "test_images": self.test_images,
            "encoder": self.encoder,
            "seen": self.seen,
            "network": self.params.network,
            "loss": None if self.params.network == "distance" else self.params.loss,
            "split": "threshold chosen on the training classes only; tested on balanced pairs of "
            "the test classes",
            "interval": "middle 95 % over repeats and over test pictures drawn again",
        }


def verification_steps(
    folder: Path,
    train_classes: Sequence[str],
    test_classes: Sequence[str],
    *,
    per_class: int = 20,
    repeats: int = 10,
    seed: int = 0,
    encoder: str | Encoder = "bundled",
    params: SiameseParams | None = None,
    turns: int = 1,
    selection: PlaneSelection = WHOLE_PICTURE,
) -> Generator[Progress, None, VerificationResult]:
    """Return how often pairs of new kinds are told apart; yield while it is measured.

    In each repeat `per_class` pictures of every training class are drawn, the distance and its
    threshold are learned from them alone, and 3,000 pairs of the test classes are judged, half of
    them of one class.

    Parameters
    ----------
    encoder
        Its name; an encoder itself only for ``network="distance"``.
    turns
        Quarter turns of the pictures over which the vectors of a frozen encoder are averaged;
        those of an encoder that averages over its own stay as they are.

    Raises
    ------
    ImageError
        A class is not in the folder, is named for both, has too few pictures, or there is only
        one test class.
    TrainingError, EncoderError
        As :func:`~napari_hemacells.core.train.siamese.trainer.train_siamese` raises them.
    """
    params = params or SiameseParams()
    listed = check_classes(folder, train_classes, test_classes, per_class)
    draws = [_draw(listed, train_classes, per_class, seed + repeat) for repeat in range(repeats)]
    tested = [file for name in test_classes for file in listed[name]]
    files = sorted({file for draw in draws for file in draw}) + tested
    crops, places, _, unreadable = yield from read_crops_steps(files, selection)
    rows = {files[place]: row for row, place in enumerate(places)}
    pictures = np.concatenate(crops)
    labels = [files[place].relative_to(folder).parts[0] for place in places]
    every = SiameseTrainingSet(pictures, tuple(labels))
    test = np.array([rows[file] for file in tested if file in rows], dtype=np.intp)
    network = None
    if params.network != "thesis":
        network = load_encoder(encoder, params.device) if isinstance(encoder, str) else encoder
    vectors = None
    if params.network == "distance" and network is not None:
        averages = network.info.preprocessing.get("readout", {}).get("turns", 1)
        vectors = yield from _averaged(network, pictures, turns if averages == 1 else 1)
    results = []
    for repeat, draw in enumerate(draws):
        yield Progress(repeat, repeats, f"Repeat {repeat + 1} of {repeats}")
        learned = np.array([rows[file] for file in draw if file in rows], dtype=np.intp)
        own = params.model_copy(update={"seed": seed + repeat})
        if vectors is not None:
            likeness = _fitted(vectors[learned], every.subset(learned), own, network)
            tested_vectors = vectors[test]
        else:
            job = SiameseJob(Path(tempfile.gettempdir()) / "no-checkpoint", own, str(encoder))
            likeness, tested_vectors = yield from _trained(job, every, learned, test)
        kinds = [labels[row] for row in test]
        results.append(_judge(likeness, tested_vectors, kinds, seed + repeat))
    names, counts = np.unique([labels[row] for row in test], return_counts=True)
    return VerificationResult(
        tuple(results),
        tuple(train_classes),
        dict(zip(names.tolist(), counts.tolist(), strict=True)),
        per_class,
        "the thesis' network" if network is None else network.info.name,
        "nothing before the training classes" if network is None else network.info.seen,
        params,
        unreadable=tuple(unreadable),
    )


def check_classes(
    folder: Path, train_classes: Sequence[str], test_classes: Sequence[str], per_class: int
) -> dict[str, list[Path]]:
    """Return the pictures of each class of a folder.

    Raises
    ------
    ImageError
        As :func:`verification_steps` says.
    """
    listed = list_class_folders(folder)
    missing = [name for name in (*train_classes, *test_classes) if name not in listed]
    if missing:
        raise ImageError(
            f"{folder} has no class {', '.join(missing)}; there are: {', '.join(sorted(listed))}."
        )
    both = sorted(set(train_classes) & set(test_classes))
    if both:
        raise ImageError(f"{', '.join(both)} cannot be trained on and tested: name a class once.")
    if len(set(train_classes)) < 2 or len(set(test_classes)) < 2:
        raise ImageError("Two training classes and two test classes are needed at least.")
    few = [name for name in train_classes if len(listed[name]) < per_class]
    few += [name for name in test_classes if len(listed[name]) < 2]
    if few:
        raise ImageError(
            f"{', '.join(few)} has too few pictures: use a smaller --per-class, or other classes."
        )
    return listed


def _averaged(
    encoder: Encoder, pictures: NDArray[np.uint8], turns: int
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Return the mean of the vectors of quarter turns."""
    total = np.zeros((len(pictures), encoder.info.dim), dtype=np.float32)
    for turn in range(turns):
        turned = np.ascontiguousarray(np.rot90(pictures, turn, (1, 2)))
        total += yield from embed_steps(encoder, turned)
    return total / np.float32(turns)


def _draw(
    listed: dict[str, list[Path]], names: Sequence[str], per_class: int, seed: int
) -> list[Path]:
    random = np.random.default_rng(seed)
    return [
        listed[name][place]
        for name in names
        for place in sorted(random.permutation(len(listed[name]))[:per_class].tolist())
    ]


def _fitted(
    vectors: NDArray[np.float32],
    cells: SiameseTrainingSet,
    params: SiameseParams,
    encoder: Encoder | None,
) -> Likeness:
    info = None if encoder is None else encoder.info
    rule = threshold_rule(params.threshold)
    return fit_likeness(vectors, cells.labels, seed=params.seed, rule=rule, encoder=info)


def _trained(
    job: SiameseJob, every: SiameseTrainingSet, learned: NDArray[np.intp], test: NDArray[np.intp]
) -> Generator[Progress, None, tuple[Likeness, NDArray[np.float32]]]:
    """Train a network on some of the cells; return its distance and the vectors of others."""
    strategy = SiameseStrategy(job, every.subset(learned))
    yield from Trainer(strategy, writes=False).run()
    return strategy.likeness(), strategy.embed_crops(every.crops[test])


def _judge(
    likeness: Likeness, vectors: NDArray[np.float32], kinds: list[str], seed: int
) -> VerificationRepeat:
    """Return the figures on balanced pairs."""
    names, owners = np.unique(kinds, return_inverse=True)
    random = np.random.default_rng(seed)
    first, second = draw_pairs(owners, PAIRS, random).T
    same = owners[first] == owners[second]
    unit = likeness.transform(vectors)
    distances = np.linalg.norm(unit[first] - unit[second], axis=1)
    right = likeness.same(distances) == same
    by_kinds = {}
    for low in range(len(names)):
        for high in range(low, len(names)):
            pair = (np.minimum(owners[first], owners[second]) == low) & (
                np.maximum(owners[first], owners[second]) == high
            )
            if pair.any():
                by_kinds[f"{names[low]} – {names[high]}"] = float(right[pair].mean())
    resampled = []
    for _ in range(RESAMPLINGS):
        drawn = np.bincount(random.integers(len(owners), size=len(owners)), minlength=len(owners))
        weight = (drawn[first] * drawn[second]).astype(np.float64)
        parts = [(weight[of], right[of]) for of in (same, ~same)]
        resampled.append(
            np.mean([np.average(hit, weights=part) for part, hit in parts if part.any()])
        )
    return VerificationRepeat(
        float(np.mean([right[same].mean(), right[~same].mean()])),
        auroc_of(distances, same),
        likeness.threshold,
        by_kinds,
        np.array(resampled),
    )
