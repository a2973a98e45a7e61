"""How the size of crops changes what a network can tell: the same points, one split, every size.

For each size: a small network from scratch, and beside it the bundled encoder with a few crops a
class, with all of them, and fine-tuned. What is done is kept, so that a study can be gone on with.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from napari_hemacells.core.classify import SupportSet, fit
from napari_hemacells.core.errors import EncoderError, StorageError, TrainingError
from napari_hemacells.core.evaluate.classification_metrics import (
    compute_classification_metrics,
    percentile_interval,
)
from napari_hemacells.core.files.fsio import read_bytes, write_bytes
from napari_hemacells.core.params import CropSizeParams
from napari_hemacells.core.train.classifier.artifacts import write_csv, write_json
from napari_hemacells.core.train.classifier.crop_size_table import HEADING, CropSizeStudy
from napari_hemacells.core.train.classifier.crop_store import CropGeometry, load_examples_steps
from napari_hemacells.core.train.classifier.dataset import read_examples
from napari_hemacells.core.train.classifier.pipeline import train_steps
from napari_hemacells.core.train.classifier.presets import preset_config
from napari_hemacells.core.train.classifier.report.crop_size import write_crop_size
from napari_hemacells.core.train.classifier.training import TrainJob
from napari_hemacells.core.train.progress import TrainingReport
from napari_hemacells.core.types import CropSpec, Embeddings, EncoderInfo

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.encode import Encoder
    from napari_hemacells.core.train.classifier.artifacts import ClassifierTrainingOutcome
    from napari_hemacells.core.train.classifier.config import ClassifierConfig

Approach: TypeAlias = Literal["scratch", "few-shot", "fine-tuned"]
APPROACHES: tuple[Approach, ...] = ("scratch", "few-shot", "fine-tuned")
MAJORITY = "always the commonest class"
SHOTS = (5, 10, 20)
ENCODER_SIZE = 128  # pixels that the bundled encoder sees
MEMORY_MB = 1024
BATCH = 64
_FOLDER = re.compile(r"(\d+)px")
_LIMIT = 2**24


def sizes_of(crops: Path) -> tuple[int, ...]:
    """Return the sizes in a folder that ``hemacells crops`` wrote, the smallest first.

    Raises
    ------
    TrainingError
        There is none.
    """
    try:
        names = [path.name for path in crops.iterdir() if path.is_dir()]
    except OSError as error:
        raise TrainingError(f"{crops} cannot be read: {error.strerror or error}.") from error
    sizes = sorted(int(match[1]) for name in names if (match := _FOLDER.fullmatch(name)))
    if not sizes:
        raise TrainingError(
            f"{crops} has no crops of several sizes (folders such as 95px): make them with "
            "hemacells crops."
        )
    return tuple(sizes)


def study_crop_size_steps(
    crops: Path,
    folder: Path,
    encoder: Encoder,
    *,
    sizes: Sequence[int] | None = None,
    approaches: Sequence[Approach] = APPROACHES,
    params: CropSizeParams | None = None,
    shots: Sequence[int] = SHOTS,
    command: str = "",
) -> Generator[TrainingReport, None, CropSizeStudy]:
    """Return the figures of every size on the test part of its crops; yield at every step.

    The test part is looked at once for each network; nothing is chosen by it. The table is
    written after every network (``crop_size.csv``, ``.md``), the page at the end.

    Parameters
    ----------
    crops
        A folder that :func:`~.store.point_crops.write_point_crops_steps` wrote.
    encoder
        The bundled one, or another to compare with.

    Raises
    ------
    TrainingError
        No such crops, or no test part, or nothing could be trained.
    """
    params = params or CropSizeParams()
    there = sizes_of(crops)
    wanted = tuple(sizes) if sizes else there
    if missing := [size for size in wanted if size not in there]:
        raise TrainingError(f"{crops} has no crops of {missing[0]} px, but {_listed(there)}.")
    records: list[dict[str, Any]] = []
    histories: dict[int, tuple[float, ...]] = {}
    failed: dict[str, str] = {}
    notes: dict[str, None] = {}
    split = ""
    # Cheap approaches of every size first: a study that is stopped has told most by then.
    order: list[Approach] = [one for one in ("few-shot", "fine-tuned", "scratch")
                             if one in approaches]  # fmt: skip
    loaded: dict[int, _SizeCrops] = {}
    for size in wanted:
        loaded[size] = yield from _load_steps(crops / f"{size}px", ENCODER_SIZE)
        split = loaded[size].split
        records.append(loaded[size].majority(size))
    study = CropSizeStudy(folder, tuple(records), histories, failed, split)
    for approach in order:
        for size in wanted:
            own = loaded[size]
            name = f"{approach}-{size}px"
            key = _key(approach, size, own, params=params, shots=shots, encoder=encoder)
            kept = _load_kept(folder / name / "figures_of_study.json", key)
            if kept is None:
                try:
                    if approach == "few-shot":
                        kept = yield from _few_shot_steps(
                            size, own, encoder, params=params, shots=shots
                        )
                    else:
                        kept = yield from _train_steps(
                            approach, size, crops, folder / name, params
                        )
                except EncoderError as error:
                    failed[name] = str(error)
                    continue
                write_json(folder / name / "figures_of_study.json", {"key": key, **kept})
            records += kept["rows"]
            notes |= dict.fromkeys(kept.get("notes", ()))
            if approach == "scratch":
                histories[size] = tuple(kept["losses"])
            ordered = sorted(records, key=lambda row: wanted.index(row["size"]))
            study = replace(study, records=tuple(ordered), notes=tuple(notes))
            _write(study)
    if len(records) == len(wanted):
        raise TrainingError("Nothing could be trained. " + next(iter(failed.values()), ""))
    page = folder / "crop_size.html"
    write_crop_size(page, study, crops, command, params.seed)
    return replace(study, page=page)


def _listed(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))


@dataclass(frozen=True, eq=False)
class _SizeCrops:
    """The crops of one size, with class, part and group."""

    pixels: NDArray[np.uint8]
    targets: NDArray[np.int64]
    classes: tuple[str, ...]
    parts: NDArray[np.str_]
    groups: tuple[str, ...]
    identity: str

    @property
    def split(self) -> str:
        counts = Counter(self.parts.tolist())
        frames = Counter(dict(zip(self.groups, self.parts.tolist(), strict=True)).values())
        return ", ".join(
            f"{counts[part]} {part} of {frames[part]} frames or movies"
            for part in ("train", "validation", "test")
            if counts[part]
        )

    def places(self, part: str) -> NDArray[np.intp]:
        return np.flatnonzero(self.parts == part)

    def figures(self, part: str, probabilities: NDArray[np.floating]) -> dict[str, Any]:
        places = self.places(part)
        return compute_classification_metrics(
            self.targets[places],
            probabilities,
            self.classes,
            groups=[self.groups[place] for place in places],
        )

    def majority(self, size: int) -> dict[str, Any]:
        """Return the row of who always says the class that is commonest in train."""
        commonest = np.bincount(self.targets[self.places("train")]).argmax()
        answer = np.zeros((len(self.places("test")), len(self.classes)))
        answer[:, commonest] = 1
        return _row(size, MAJORITY, "train", self.figures("test", answer), None,
                    seen="", seconds=0.0)  # fmt: skip


def _load_steps(folder: Path, size: int) -> Generator[TrainingReport, None, _SizeCrops]:
    examples = read_examples(folder)
    frame = CropGeometry(CropSpec(size, 1.0), 1.0)
    loaded = yield from load_examples_steps(examples, frame, MEMORY_MB)
    items = loaded.examples.items
    parts = np.array([item.part for item in items], np.str_)
    for part in ("train", "test"):
        if part not in parts:
            raise TrainingError(
                f"{folder} has no crops in the part {part}: cut them with hemacells crops "
                "--test 0.1 from several frames."
            )
    targets = loaded.examples.targets()
    if len(np.unique(targets[parts == "train"])) < 2:
        raise TrainingError(f"{folder} has one class alone in the part train: add frames.")
    identity = hashlib.sha256(
        json.dumps(
            [[item.label, item.group, item.part] for item in items] + list(loaded.digests)
        ).encode()
    ).hexdigest()
    pixels = loaded.crops[np.arange(len(items))]
    groups = tuple(item.group or item.name for item in items)
    return _SizeCrops(pixels, targets, loaded.examples.classes, parts, groups, identity)


def _few_shot_steps(
    size: int,
    own: _SizeCrops,
    encoder: Encoder,
    *,
    params: CropSizeParams,
    shots: Sequence[int],
) -> Generator[TrainingReport, None, dict[str, Any]]:
    """Return rows of the frozen encoder: a few crops a class, and all of train."""
    began = time.monotonic()
    vectors = []
    for start in range(0, len(own.pixels), BATCH):
        vectors.append(encoder.encode(own.pixels[start : start + BATCH]))
        yield TrainingReport(
            min(start + BATCH, len(own.pixels)), len(own.pixels), f"Embedding crops of {size} px"
        )
    rows = np.concatenate(vectors)
    seen = encoder.info.seen
    train, test = own.places("train"), own.places("test")
    spent = time.monotonic() - began
    answers = []
    name = f"{encoder.info.name}, frozen"
    for count in shots:
        random = np.random.default_rng([params.seed, count])
        least = min(np.bincount(own.targets[train], minlength=len(own.classes)))
        if count > least:
            continue
        drawn = []
        for _ in range(params.draws):
            taught = np.concatenate(
                [
                    random.permutation(train[own.targets[train] == label])[:count]
                    for label in range(len(own.classes))
                ]
            )
            drawn.append(own.figures("test", _answer(own, rows, taught, test)))
            yield TrainingReport(len(drawn), params.draws, f"{count} crops a class, {size} px")
        answers.append(_draws_row(size, name, count, drawn, seen=seen, seconds=spent))
    whole = own.figures("test", _answer(own, rows, train, test))
    checked = None
    if len(own.places("validation")):
        check = own.places("validation")
        checked = own.figures("validation", _answer(own, rows, train, check))
    answers.append(_row(size, name, "train", whole, checked, seen=seen, seconds=spent))
    return {"rows": answers}


def _answer(
    own: _SizeCrops,
    vectors: NDArray[np.float32],
    taught: NDArray[np.intp],
    asked: NDArray[np.intp],
) -> NDArray[np.floating]:
    """``(m, k)`` probabilities of the head that these crops teach, all of train beside."""
    pool = own.places("train")
    ids = [str(number) for number in range(len(own.classes))]
    support = SupportSet(vectors[taught], tuple(str(own.targets[place]) for place in taught))
    head = fit(support, ids, context=vectors[pool])
    info = EncoderInfo("crops", "", vectors.shape[1])
    asked_for = Embeddings(asked, vectors[asked], info, CropSpec(), "crops")
    return head.predict(asked_for).probabilities


def _draws_row(
    size: int, name: str, count: int, drawn: list[dict[str, Any]], *, seen: str, seconds: float
) -> dict[str, Any]:
    """Return the mean of several draws, and the middle 95 % of them."""
    row = _row(size, name, f"{count} crops a class", drawn[0], None, seen=seen,
               seconds=seconds)  # fmt: skip
    for key, column, low, high in (
        ("accuracy", "accuracy", "low", "high"),
        ("balanced_accuracy", "balanced accuracy", "balanced low", "balanced high"),
    ):
        values = np.array([figures[key]["value"] for figures in drawn])
        below, above = percentile_interval(values)
        row |= {column: round(float(values.mean()), 4), low: round(float(below), 4),
                high: round(float(above), 4)}  # fmt: skip
    values = np.array([figures["macro_f1"]["value"] for figures in drawn])
    return row | {
        "macro F1": round(float(values.mean()), 4),
        "interval": f"middle 95 % of {len(drawn)} draws",
    }


def _train_steps(
    approach: Approach,
    size: int,
    crops: Path,
    folder: Path,
    params: CropSizeParams,
) -> Generator[TrainingReport, None, dict[str, Any]]:
    recipe = _recipe(approach, size, params)
    job = TrainJob(crops / f"{size}px", folder, recipe, f"{approach} {size} px")
    steps = train_steps(job)
    while True:
        try:
            report = next(steps)
        except StopIteration as end:
            outcome: ClassifierTrainingOutcome = end.value
            break
        yield replace(report, message=f"{size} px, {approach}: {report.message}")
    network = {"bundled": "bundled encoder, fine-tuned"}.get(recipe.arch, recipe.arch)
    seen = "nothing before" if recipe.weights == "none" else outcome.weights
    test = outcome.figures["test"]
    checked = outcome.figures.get("validation")
    about: dict[str, Any] = {"seen": seen, "seconds": outcome.seconds}
    rows = [_row(size, network, "train", test, checked, **about)]
    if "tta" in test:
        more = test["tta"]
        averaged = {**test, **{key: more[key] for key in
                               ("accuracy", "balanced_accuracy", "macro_f1")}}  # fmt: skip
        if checked is not None and "tta" in checked:
            checked = {**checked, **checked["tta"]}
        name = f"{network}, {more['copies']} copies averaged"
        rows.append(_row(size, name, "train", averaged, checked, **about))
    return {
        "rows": rows,
        "losses": [record.validation_loss for record in outcome.history],
        "notes": list(outcome.notes),
    }


def _recipe(approach: Approach, size: int, params: CropSizeParams) -> ClassifierConfig:
    changes: dict[str, Any] = {"seed": params.seed, "tta": params.copies}
    if approach == "scratch":
        changes["size"] = params.input_size or size
        if params.epochs is not None:
            changes["epochs"] = params.epochs
        return preset_config(params.recipe, changes)
    changes |= {"context": None}  # the whole crop: its size is what is studied
    if params.tuned_epochs is not None:
        changes["epochs"] = params.tuned_epochs
    return preset_config(params.tuned_recipe, changes)


def _row(
    size: int,
    network: str,
    learned_from: str,
    figures: dict[str, Any],
    checked: dict[str, Any] | None,
    *,
    seen: str,
    seconds: float,
) -> dict[str, Any]:
    accuracy, balanced = figures["accuracy"], figures["balanced_accuracy"]
    values = (
        size, network, learned_from, figures["n"],
        accuracy["value"], accuracy["low"], accuracy["high"],
        balanced["value"], balanced["low"], balanced["high"], figures["macro_f1"]["value"],
        None if checked is None else checked["accuracy"]["value"],
        "95 % of draws of whole frames", seen, round(seconds, 1),
    )  # fmt: skip
    return dict(zip(HEADING, values, strict=True))


def _key(
    approach: Approach,
    size: int,
    own: _SizeCrops,
    *,
    params: CropSizeParams,
    shots: Sequence[int],
    encoder: Encoder,
) -> str:
    """Return what must be the same for a figure that is kept to be taken."""
    if approach == "few-shot":
        content: list[Any] = [list(shots), params.draws, params.seed, encoder.info.sha256]
    else:
        content = [_recipe(approach, size, params).model_dump(mode="json")]
    return hashlib.sha256(json.dumps([approach, own.identity, content]).encode()).hexdigest()


def _load_kept(file: Path, key: str) -> dict[str, Any] | None:
    try:
        content = json.loads(read_bytes(file, _LIMIT))
        same = content["key"] == key and isinstance(content["rows"], list)
    except (StorageError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return content if same else None


def _write(study: CropSizeStudy) -> None:
    rows = [[row[name] if row[name] is not None else "" for name in HEADING]
            for row in study.records]  # fmt: skip
    write_csv(study.folder / "crop_size.csv", HEADING, rows)
    write_bytes(study.folder / "crop_size.md", study.as_markdown().encode())
