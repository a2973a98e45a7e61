"""From a trained network to its bundle, its figures and its files. Imports torch."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.classify.calibrate import Calibration
from napari_hemacells.core.evaluate.classification import by_group, classification_figures
from napari_hemacells.core.evaluate.reliability import best_temperature
from napari_hemacells.core.store import save_bundle
from napari_hemacells.core.train.classifier.answers import Answers, answer_steps
from napari_hemacells.core.train.classifier.model import make_bundle
from napari_hemacells.core.train.classifier.outcome import (
    Outcome,
    surroundings,
    write_answers,
    write_json,
    write_log,
    write_split,
)
from napari_hemacells.core.train.classifier.split import PARTS

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    from numpy.typing import NDArray

    from napari_hemacells.core.store import Bundle
    from napari_hemacells.core.train.classifier.run import Training
    from napari_hemacells.core.train.reports import TrainingReport

MODEL = "model"
CHOSEN = (
    "The best round and the calibration were chosen on the validation part, so its figures are a "
    "little too good; those of a test part would not be."
)


def finish_steps(training: Training, began: float) -> Generator[TrainingReport, None, Outcome]:
    """Return the outcome, after writing everything into the training's folder."""
    said: dict[str, Answers] = {}
    for part in PARTS:
        said[part] = yield from _answers(training, part)
    checked = said["validation"]
    truth = training.targets[checked.places]
    temperature = best_temperature(checked.logits, truth)
    figures: dict[str, Any] = {
        part: _figures(training, said[part], temperature)
        for part in PARTS[1:]
        if len(said[part].places)
    }
    notes = _notes(training)
    seconds = time.monotonic() - began
    run = _record(training, temperature, notes, seconds)
    bundle = _bundle(training, said["train"], temperature, {**run, "figures": figures})
    if training.accelerator.is_main_process:
        _write(training, said, figures, run, temperature)
        save_bundle(training.job.folder / MODEL, bundle)
    return Outcome(
        folder=training.job.folder,
        model=training.job.folder / MODEL,
        figures=figures,
        history=tuple(training.loop.course.history),
        notes=notes,
        unreadable=training.prepared.loaded.unreadable,
        parameters=run["parameters"],
        seconds=seconds,
        weights=training.weights.source,
        split=training.prepared.split.in_words(),
    )


def _answers(training: Training, part: Any) -> Generator[TrainingReport, None, Answers]:
    recipe = training.job.recipe
    return (
        yield from answer_steps(
            training.network,
            training.pictures(),
            training.prepared.split.places(part),
            training.accelerator,
            copies=0 if part == "train" else recipe.tta,
            seed=recipe.seed,
        )
    )


def _figures(training: Training, said: Answers, temperature: float) -> dict[str, Any]:
    """Return the figures of a part; with test-time augmentation those beside it."""
    split = training.prepared.split
    units = [split.units[place] for place in said.places] if split.grouped else None
    truth, classes = training.targets[said.places], training.classes

    def of(probabilities: NDArray[np.floating]) -> dict[str, Any]:
        figures = classification_figures(truth, probabilities, classes, groups=units)
        merged = None if units is None else by_group(truth, probabilities, units)
        if merged is not None:
            figures["by_group"] = classification_figures(*merged, classes)
        return figures

    found = of(said.probabilities(temperature))
    if len(said.copies):
        found["tta"] = {"copies": len(said.copies)} | of(said.averaged(temperature))
    return found


def _notes(training: Training) -> tuple[str, ...]:
    split, loaded = training.prepared.split, training.prepared.loaded
    notes = [*split.notes]
    if "test" not in split.parts:
        notes.append(CHOSEN)
    if training.weights.warning:
        notes.append(training.weights.warning)
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
        "pictures": "thermograms" if training.prepared.loaded.crops.thermal else "cells",
        "split": split.in_words(),
        "split_rule": vars(split.rule),
        "grouped": split.grouped,
        "frame": _frame(training),
        "weights": training.weights.source,
        "parameters": sum(one.numel() for one in training.network.parameters()),
        "rate": training.loop.course.rate,
        "temperature": temperature,
        "device": str(training.accelerator.device),
        "processes": training.accelerator.num_processes,
        "epochs": len(training.loop.course.history),
        "seconds": round(seconds, 1),
        "notes": list(notes),
        "unreadable": list(training.prepared.loaded.unreadable),
        "versions": surroundings(),
    }


def _frame(training: Training) -> dict[str, Any]:
    """Return how a picture became a crop."""
    spec, framing = training.prepared.loaded.crops.frame
    return {**spec.to_dict(), "framing": framing}


def _bundle(
    training: Training, said: Answers, temperature: float, record: dict[str, Any]
) -> Bundle:
    learned = Counter(training.classes[one] for one in training.targets[said.places])
    told = ", ".join(f"{learned[name]} {name}" for name in training.classes)
    kept = {key: value for key, value in record.items() if key != "unreadable"}
    return make_bundle(
        training.network,
        training.plan,
        name=training.job.name or training.job.folder.name,
        classes=training.classes,
        spec=training.prepared.spec,
        temperature=temperature,
        calibration=_calibration(record["figures"]["validation"]),
        vectors=said.vectors,
        targets=training.targets[said.places],
        seen=f"started from {training.weights.source.removeprefix('from ')}; then {told}",
        training=kept,
        palette=training.job.palette,
    )


def _calibration(figures: dict[str, Any]) -> Calibration:
    n, ece = int(figures["n"]), float(figures["ece"])
    reason = f"One temperature was fitted on the {n} validation crops; error there {ece:.3f}."
    return Calibration("temperature", n, ece, reason)


def _write(
    training: Training,
    said: dict[str, Answers],
    figures: dict[str, Any],
    run: dict[str, Any],
    temperature: float,
) -> None:
    folder, loaded = training.job.folder, training.prepared.loaded
    for part, answers in said.items():
        if len(answers.places):
            whole = answers.averaged(temperature)
            write_answers(folder / f"{part}.csv", loaded, answers.places, whole)
    write_split(folder / "split.csv", loaded, training.prepared.split)
    write_log(folder / "log.csv", training.loop.course.history)
    write_json(folder / "figures.json", figures)
    write_json(folder / "run.json", run)
