"""From a trained network to its bundle, its figures and its files. Imports torch.

What a trained network says of crops: logits, averaged over copies, and vectors. Torch.

A trained network as a model bundle: an encoder and a linear head, as every bundle has them.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_hemacells.core.annotate import Palette
from napari_hemacells.core.classify import Head
from napari_hemacells.core.classify.calibration import Calibration, softmax
from napari_hemacells.core.classify.novelty import novelty_from_distances
from napari_hemacells.core.classify.trained_novelty import (
    LEAST_HELD_OUT,
    fit_trained_novelty,
    unknown_auroc_by_class,
)
from napari_hemacells.core.encode.finetuned.load import NETWORK
from napari_hemacells.core.evaluate.calibration import optimal_temperature
from napari_hemacells.core.evaluate.classification_metrics import (
    average_by_group,
    compute_classification_metrics,
)
from napari_hemacells.core.store import Bundle, save_bundle
from napari_hemacells.core.train.classifier.artifacts import (
    ClassifierTrainingOutcome,
    environment_versions,
    write_json,
    write_log,
    write_predictions,
    write_split,
)
from napari_hemacells.core.train.classifier.dataloader import EVAL_BATCH, CropBatches
from napari_hemacells.core.train.classifier.learner import seed_torch
from napari_hemacells.core.train.classifier.split import PARTS
from napari_hemacells.core.train.progress import TrainingReport
from napari_hemacells.core.types import EncoderInfo

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from accelerate import Accelerator
    from numpy.typing import NDArray

    from napari_hemacells.core.encode.finetuned.config import NetworkPlan
    from napari_hemacells.core.encode.finetuned.network import Classifier
    from napari_hemacells.core.train.classifier.training import Training
    from napari_hemacells.core.types import CropSpec, LearnedFrom

COPIES_SEED = 7919


@dataclass(frozen=True, eq=False)
class ClassifierOutputs:
    """What the network says of some crops.

    Attributes
    ----------
    places
        ``(m,)`` which crops.
    logits
        ``(m, k)`` float32 of the crops as they are.
    vectors
        ``(m, dim)`` float32 before the last layer.
    copies
        ``(copies, m, k)`` logits of augmented copies.
    seconds
        How long the network took for the crops as they are, copies not counted.
    """

    places: NDArray[np.int64]
    logits: NDArray[np.float32]
    vectors: NDArray[np.float32]
    copies: NDArray[np.float32]
    seconds: float = 0.0

    def probabilities(self, temperature: float = 1.0) -> NDArray[np.float64]:
        """``(m, k)`` probabilities of the crops as they are."""
        return _softmax(self.logits, temperature)

    def tta_probabilities(self, temperature: float = 1.0) -> NDArray[np.float64]:
        """``(m, k)`` mean probabilities of the crops and their augmented copies."""
        every = [self.probabilities(temperature)]
        every += [_softmax(copy_logits, temperature) for copy_logits in self.copies]
        return np.asarray(np.mean(every, axis=0))


def predict_steps(
    network: Classifier,
    pictures: CropBatches,
    places: NDArray[np.int64],
    accelerator: Accelerator,
    *,
    copies: int = 0,
    seed: int = 0,
) -> Generator[TrainingReport, None, ClassifierOutputs]:
    """Return what the network says; yield after each batch."""
    network.eval()
    seed_torch(seed, COPIES_SEED)
    batches = [places[at : at + EVAL_BATCH] for at in range(0, len(places), EVAL_BATCH)]
    logits_by_view: list[list[torch.Tensor]] = [[] for _ in range(1 + copies)]
    vectors: list[torch.Tensor] = []
    seconds = 0.0
    for done, batch in enumerate(batches):
        with torch.inference_mode(), accelerator.autocast():
            for view in range(1 + copies):
                began = time.perf_counter()
                inputs = pictures.augmented_batch(batch) if view else pictures.check(batch)
                embedded = network.embedder.turned(inputs)
                logits_by_view[view].append(network.decide(embedded).float().cpu())
                if view == 0:
                    vectors.append(embedded.float().cpu())
                    seconds += time.perf_counter() - began
        yield TrainingReport(done + 1, len(batches), "Looking at the result", phase="end")
    k, dim = network.classes, network.embedder.dim
    logits = np.stack([_joined(view_logits, k) for view_logits in logits_by_view])
    return ClassifierOutputs(places, logits[0], _joined(vectors, dim), logits[1:], seconds)


def _joined(parts: list[torch.Tensor], width: int) -> NDArray[np.float32]:
    whole = torch.cat(parts) if parts else torch.zeros(0, width)
    return np.asarray(whole.numpy(), dtype=np.float32)


def _softmax(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    from scipy.special import softmax

    return np.asarray(softmax(logits.astype(np.float64) / temperature, axis=1))


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
    held_out: NDArray[np.float32],
    seen: str,
    training: dict[str, Any],
    palette: Palette | None = None,
    learned_from: LearnedFrom | None = None,
) -> Bundle:
    """Return the bundle: the embedder as encoder, norm and last layer as linear head.

    Parameters
    ----------
    calibration
        What the confidence stands on.
    vectors, targets
        The embedder's vectors of the crops learned from and their classes; some of each class are
        kept, so that annotating can go on from this model, and tell cells of no known class.
    held_out
        ``(n, dim)`` the embedder's vectors of the validation crops.
    training
        What a reader must know: split, figures, recipe.
    palette
        The project's classes; those of the same name keep their id.
    learned_from
        Whole pictures or detected cells.
    """
    palette = palette or Palette()
    for class_name in classes:
        palette = palette if palette.by_name(class_name) else palette.add(class_name)
    ids = tuple(palette.by_name(class_name).id for class_name in classes)  # type: ignore[union-attr]  # just made
    tensors = {
        # not ascontiguousarray, which gives counters of batch norms, single numbers, a dimension
        key: np.require(value.detach().cpu().numpy(), requirements="C")
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
    counts = tuple(int((targets == index).sum()) for index in range(len(classes)))
    kept = _some_of_each(targets)
    head = replace(linear_head(network, ids, counts, temperature), calibration=calibration)
    if len(held_out) < LEAST_HELD_OUT:  # too few to say from where on a cell is unknown
        counted = np.bincount(targets[kept], minlength=len(classes))
        head = replace(head, novelty=novelty_from_distances(vectors[kept], counted))
    else:
        sure = softmax(head.scores(held_out), head.slope)
        known = fit_trained_novelty(vectors, targets, held_out, sure, first=first_told_by(network))
        head = replace(head, trained_novelty=known)
    arrays, meta = head.to_tensors()
    return Bundle(
        name=name,
        encoder=info,
        spec=spec,
        palette=palette,
        head_tensors=arrays,
        head_meta=meta,
        vectors=vectors[kept],
        labels=tuple(ids[target] for target in targets[kept]),
        encoder_tensors=tensors,
        training=training,
        learned_from=learned_from,
    )


def linear_head(
    network: Classifier, ids: tuple[str, ...], counts: tuple[int, ...], temperature: float
) -> Head:
    """Return norm and last layer as a linear head with the same probabilities."""
    from torch import nn

    dim, norm = network.embedder.width, network.norm
    centre, scale = np.zeros(dim), np.ones(dim)
    gain, offset = np.ones(dim), np.zeros(dim)
    if isinstance(norm, nn.BatchNorm1d):
        centre = _array(norm.running_mean)
        scale = np.sqrt(_array(norm.running_var) + norm.eps)
        gain, offset = _array(norm.weight), _array(norm.bias)
    weights, bias = _array(network.last.weight), _array(network.last.bias)
    if network.single:  # one sigmoid: the first class's logit is 0
        weights, bias = np.vstack([np.zeros(dim), weights]), np.append(0.0, bias)
    late = network.embedder.dim - dim  # numbers that say nothing of the classes
    return Head(
        kind="linear",
        class_ids=ids,
        counts=counts,
        centre=np.pad(centre, (0, late)).astype(np.float32),
        scale=np.pad(scale, (0, late), constant_values=1.0).astype(np.float32),
        weights=np.pad((weights * gain).T, ((0, late), (0, 0))).astype(np.float32),
        bias=(weights @ offset + bias).astype(np.float32),
        slope=1.0 / temperature,
    )


def first_told_by(network: Classifier) -> int:
    """Return from which number of a vector on unknown cells are told: the late stage's."""
    return network.embedder.width if network.embedder.late else 0


def tensors_hash(tensors: dict[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of names and contents: the identity of the weights."""
    whole = hashlib.sha256()
    for name in sorted(tensors):
        whole.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        whole.update(tensors[name].tobytes())
    return whole.hexdigest()


def _some_of_each(targets: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the places of up to SUPPORT crops of each class, spread over all of them."""
    kept = []
    for target in np.unique(targets):
        own = np.flatnonzero(targets == target)
        kept.append(own[:: -(-len(own) // SUPPORT)])
    return np.sort(np.concatenate(kept)) if kept else np.array([], dtype=np.intp)


def _array(tensor: Any) -> NDArray[np.float64]:
    return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float64)


MODEL = "model"
VALIDATION_CAVEAT = (
    "The best round and the calibration were chosen on the validation part, so its figures are a "
    "little too good; those of a test part would not be."
)


def evaluate_and_save_steps(
    training: Training, began: float
) -> Generator[TrainingReport, None, ClassifierTrainingOutcome]:
    """Return the outcome, after writing everything into the training's folder."""
    outputs_by_part: dict[str, ClassifierOutputs] = {}
    for part in PARTS:
        outputs_by_part[part] = yield from _predict_part(training, part)
    checked = outputs_by_part["validation"]
    truth = training.targets[checked.places]
    temperature = optimal_temperature(checked.logits, truth)
    figures: dict[str, Any] = {
        part: _figures(training, outputs_by_part[part], temperature)
        for part in PARTS[1:]
        if len(outputs_by_part[part].places)
    }
    notes = _notes(training)
    seconds = time.monotonic() - began
    run = _record(training, temperature, notes, seconds)
    run["unknown"] = _unknown(training, outputs_by_part["train"], checked, temperature)
    bundle = _bundle(
        training, outputs_by_part["train"], checked.vectors, temperature,
        {**run, "figures": figures},
    )  # fmt: skip
    if training.accelerator.is_main_process:
        _write(training, outputs_by_part, figures, run, temperature)
        save_bundle(training.job.folder / MODEL, bundle)
    return ClassifierTrainingOutcome(
        folder=training.job.folder,
        model=training.job.folder / MODEL,
        figures=figures,
        history=tuple(training.loop.history),
        notes=notes,
        unreadable=training.prepared.loaded.unreadable,
        parameters=run["parameters"],
        seconds=seconds,
        weights=training.weights.source,
        split=training.prepared.split.describe(),
        seconds_per_crop=checked.seconds / max(1, len(checked.places)),
    )


def _predict_part(
    training: Training, part: Any
) -> Generator[TrainingReport, None, ClassifierOutputs]:
    recipe = training.job.recipe
    return (
        yield from predict_steps(
            training.network,
            training.pictures(),
            training.prepared.split.places(part),
            training.accelerator,
            copies=0 if part == "train" else recipe.tta,
            seed=recipe.seed,
        )
    )


def _figures(training: Training, outputs: ClassifierOutputs, temperature: float) -> dict[str, Any]:
    """Return the figures of a part; with test-time augmentation those beside it."""
    split = training.prepared.split
    units = [split.units[index] for index in outputs.places] if split.grouped else None
    truth, classes = training.targets[outputs.places], training.classes

    def of(probabilities: NDArray[np.floating]) -> dict[str, Any]:
        figures = compute_classification_metrics(truth, probabilities, classes, groups=units)
        merged = None if units is None else average_by_group(truth, probabilities, units)
        if merged is not None:
            figures["by_group"] = compute_classification_metrics(*merged, classes)
        return figures

    metrics = of(outputs.probabilities(temperature))
    if len(outputs.copies):
        metrics["tta"] = {"copies": len(outputs.copies)} | of(
            outputs.tta_probabilities(temperature)
        )
    return metrics


def _notes(training: Training) -> tuple[str, ...]:
    split, loaded = training.prepared.split, training.prepared.loaded
    notes = [*split.notes]
    if "test" not in split.parts:
        notes.append(VALIDATION_CAVEAT)
    notes += training.weights_notes()
    if loaded.unreadable:
        notes.append(f"{len(loaded.unreadable)} files could not be read and were left out.")
    portion = training.learner.portion
    if portion < training.job.recipe.batch:
        notes.append(f"The memory was full: {portion} crops went through the network at once.")
    return tuple(notes)


def _record(
    training: Training, temperature: float, notes: tuple[str, ...], seconds: float
) -> dict[str, Any]:
    """Return all that is needed to repeat the training."""
    job, split = training.job, training.prepared.split
    return {
        "recipe": job.recipe.model_dump(mode="json"),
        "command": job.command,
        "source": str(job.source),
        "data_sha256": training.data_hash(),
        "counts": training.prepared.loaded.examples.counts,
        "pictures": "thermograms" if training.prepared.loaded.crops.is_thermal else "cells",
        "split": split.describe(),
        "split_rule": vars(split.rule),
        "grouped": split.grouped,
        "frame": _frame(training),
        "weights": training.weights.source,
        "parameters": sum(parameter.numel() for parameter in training.network.parameters()),
        "rate": training.loop.rate,
        "start_loss": training.loop.start_loss,
        "temperature": temperature,
        "device": str(training.accelerator.device),
        "processes": training.accelerator.num_processes,
        "epochs": len(training.loop.history),
        "seconds": round(seconds, 1),
        "notes": list(notes),
        "unreadable": list(training.prepared.loaded.unreadable),
        "versions": environment_versions(),
    }


def _frame(training: Training) -> dict[str, Any]:
    """Return how a picture became a crop."""
    frame = training.prepared.loaded.crops.frame
    depths = [depth.to_dict() for depth in frame.reading.depths]
    reading: dict[str, Any] = {"bit_depths": depths} if depths else {}
    if frame.reading.selection:
        reading |= frame.reading.selection.to_dict()
    return {**frame.spec.to_dict(), "framing": frame.framing, **reading}


def _bundle(
    training: Training,
    outputs: ClassifierOutputs,
    held_out: NDArray[np.float32],
    temperature: float,
    record: dict[str, Any],
) -> Bundle:
    learned = Counter(training.classes[target] for target in training.targets[outputs.places])
    counts_text = ", ".join(f"{learned[name]} {name}" for name in training.classes)
    kept = {key: value for key, value in record.items() if key != "unreadable"}
    return make_bundle(
        training.network,
        training.plan,
        name=training.job.name or training.job.folder.name,
        classes=training.classes,
        spec=training.prepared.spec,
        temperature=temperature,
        calibration=_calibration(record["figures"]["validation"]),
        vectors=outputs.vectors,
        targets=training.targets[outputs.places],
        held_out=held_out,
        seen=f"started from {training.weights.source.removeprefix('from ')}; then {counts_text}",
        training=kept,
        palette=training.job.palette,
        learned_from=training.prepared.loaded.crops.frame.learned_from,
    )


def _unknown(
    training: Training,
    learned: ClassifierOutputs,
    checked: ClassifierOutputs,
    temperature: float,
) -> dict[str, Any]:
    """Return how well *unknown* tells a class from the others, each left out of it in turn."""
    areas = unknown_auroc_by_class(
        learned.vectors,
        training.targets[learned.places],
        checked.vectors,
        training.targets[checked.places],
        checked.probabilities(temperature),
        first=first_told_by(training.network),
    )
    by_class = {training.classes[index]: round(area, 4) for index, area in areas.items()}
    mean = round(float(np.mean(list(by_class.values()))), 4) if by_class else None
    return {"auroc": mean, "by_class": by_class, "n": len(checked.places)}


def _calibration(figures: dict[str, Any]) -> Calibration:
    n, ece = int(figures["n"]), float(figures["ece"])
    reason = f"One temperature was fitted on the {n} validation crops; error there {ece:.3f}."
    return Calibration("temperature", n, ece, reason)


def _write(
    training: Training,
    outputs_by_part: dict[str, ClassifierOutputs],
    figures: dict[str, Any],
    run: dict[str, Any],
    temperature: float,
) -> None:
    folder, loaded = training.job.folder, training.prepared.loaded
    for part, answers in outputs_by_part.items():
        if len(answers.places):
            whole = answers.tta_probabilities(temperature)
            write_predictions(folder / f"{part}.csv", loaded, answers.places, whole)
    write_split(folder / "split.csv", loaded, training.prepared.split)
    write_log(folder / "log.csv", training.loop.history)
    write_json(folder / "figures.json", figures)
    write_json(folder / "run.json", run)
