"""What the report of a classifier shows, ready for its template.

What the report says in words: the verdict, what it stands on, and how to repeat it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.train.html_report import ReportTable
from napari_hemacells.core.train.progress import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_hemacells.core.evaluate.classification_metrics import MetricWithInterval
    from napari_hemacells.core.train.classifier.artifacts import EpochRecord
    from napari_hemacells.core.train.classifier.results import (
        ClassificationMetrics,
        EvaluatedPart,
        EvaluationResults,
    )


@dataclass(frozen=True)
class GalleryCrop:
    """A crop with what is written under it.

    Attributes
    ----------
    uri, heat
        ``data:`` addresses; ``heat`` is empty where there is no heat map.
    given, said
        The given class, and what the network (or the heads) say instead.
    figure
        How sure.
    kind
        What it is shown for, where a list has several kinds.
    """

    uri: str
    name: str
    given: str
    said: str
    figure: str
    heat: str = ""
    wrong: bool = False
    kind: str = ""


@dataclass(frozen=True)
class Gallery:
    """Crops under a heading."""

    title: str
    note: str
    shots: tuple[GalleryCrop, ...]


@dataclass(frozen=True)
class MatrixRow:
    """A row of the confusion matrix: counts, and shares of the row for shade and second table."""

    name: str
    counts: tuple[int, ...]
    shares: tuple[float | None, ...]


@dataclass(frozen=True)
class ClassifierReportPage:
    """The page, from its head to its foot.

    Attributes
    ----------
    verdict
        The result in one sentence, with its interval.
    stands_on
        What the figures stand on: a word and a sentence each.
    plots
        ``<svg>`` elements: curves, then others by name; empty where there is none.
    """

    title: str
    created: str
    verdict: str
    facts: tuple[tuple[str, str, str], ...]
    stands_on: tuple[tuple[str, str], ...]
    cautions: tuple[str, ...]
    classes: ReportTable
    names: tuple[str, ...]
    matrix: tuple[MatrixRow, ...]
    pairs: ReportTable
    balance: str
    curves: str
    finders: tuple[str, ...]
    reliability: str
    roc: str
    calibration: str
    galleries: tuple[Gallery, ...]
    notes: tuple[str, ...]
    suspects: Gallery
    provenance: tuple[tuple[str, str], ...]
    command: str


PARTS: dict[EvaluatedPart, str] = {
    "test": "the test part",
    "out-of-fold": "the folds that each network had not learned from",
    "validation": "the validation part",
}
PART_CAVEATS: dict[EvaluatedPart, str] = {
    "test": "Nothing was learned from these, and nothing was chosen by them.",
    "out-of-fold": (
        "Each was judged by a network that had not learned from it. The best round of each "
        "network was chosen on those it was then judged by, so the figures are a little too good."
    ),
    "validation": (
        "Nothing was learned from these, but the best round and the calibration were "
        "chosen by them, so the figures are a little too good. A test part (--test 0.2) would "
        "not have been used for that."
    ),
}


def verdict(results: EvaluationResults) -> str:
    """Return the result in one sentence."""
    figures, part = results.figures, PARTS[results.part]
    return (
        f"Of {figures.n:,} {subject_noun(results)} of {part}, {format_percent(figures.accuracy)} "
        f"were recognised; "
        f"averaged over the {len(results.classes)} classes, "
        f"{format_percent(figures.balanced_accuracy)}."
    )


def subject_noun(results: EvaluationResults) -> str:
    """What was judged, in the plural: ``cells`` or ``thermograms``."""
    return str(results.run.get("pictures", "cells"))


def format_percent(figure: MetricWithInterval) -> str:
    """``98.6 % (95 % interval 97.9 to 99.3 %)``."""
    if not isfinite(figure.value):
        return "an unknown part"
    text = f"{100 * figure.value:.1f} %"
    if isfinite(figure.low):
        text += f" (95 % interval {100 * figure.low:.1f} to {100 * figure.high:.1f} %)"
    return text


def format_interval(figure: MetricWithInterval) -> str:
    """``0.979–0.993``; a dash where there is none."""
    return f"{figure.low:.3f}–{figure.high:.3f}" if isfinite(figure.low) else "–"


def format_number(figure: MetricWithInterval) -> str:
    """``0.986``; a dash where there is none."""
    return f"{figure.value:.3f}" if isfinite(figure.value) else "–"


def headline_metrics(figures: ClassificationMetrics) -> tuple[tuple[str, str, str], ...]:
    """Return the large figures for the head of the page: value, word, interval."""
    metrics = [
        ("accuracy", figures.accuracy),
        ("balanced accuracy", figures.balanced_accuracy),
        ("Cohen’s κ", figures.kappa),
        ("macro F1", figures.macro_f1),
    ]
    if figures.binary is not None:
        both = figures.binary
        metrics = [
            metrics[0],
            (f"sensitivity ({both.positive})", both.sensitivity),
            ("specificity", both.specificity),
            ("ROC AUC", both.auc),
            metrics[2],
        ]
    shown = [(format_number(metric), label, format_interval(metric)) for label, metric in metrics]
    return (*shown, (f"{figures.ece:.3f}", "calibration error", "ECE, bins of equal mass"))


def describe_basis(results: EvaluationResults, seen: str) -> tuple[tuple[str, str], ...]:
    """Return what the figures stand on."""
    figures, run = results.figures, results.run
    rows = [
        (
            "Judged on",
            (
                f"{figures.n:,} {subject_noun(results)} of {PARTS[results.part]}. "
                f"{PART_CAVEATS[results.part]}"
            ),
        ),
        ("Split", f"{_split(results)}."),
        ("Intervals", describe_intervals(figures, subject_noun(results))),
        ("It had seen", f"{seen[:1].upper()}{seen[1:]}."),
    ]
    if sentence := describe_unknown(run.get("unknown")):
        rows.append(("Unknown cells", sentence))
    if figures.copies:
        copies = (
            "an augmented copy" if figures.copies == 1 else f"{figures.copies} augmented copies"
        )
        rows.insert(
            1, ("Averaged", f"Over each crop and {copies} of it (test-time augmentation).")
        )
    if figures.by_group is not None:
        rows.insert(1, ("By patient", describe_group_metrics(figures.by_group)))
    if run.get("unreadable"):
        rows.append(("Left out", f"{len(run['unreadable'])} files that could not be read."))
    return tuple(rows)


def describe_unknown(unknown: Mapping[str, Any] | None) -> str:
    """Return how well cells of no known class are told; empty where that was not measured."""
    if not unknown or unknown.get("auroc") is None:
        return ""
    by_class = ", ".join(f"{name} {area:.2f}" for name, area in unknown["by_class"].items())
    return (
        f"AUROC {unknown['auroc']:.2f}, the mean over the classes, each left out of the score in "
        f"turn ({by_class}; {unknown['n']:,} cells of the validation part). The network itself "
        "had learned all of them, so a class that it never saw is found less well. One held-out "
        "cell in twenty of the known classes is called unknown."
    )


def describe_group_metrics(figures: ClassificationMetrics) -> str:
    """Return how well whole groups are told, each by the mean of its pictures."""
    text = f"Each of the {figures.n:,} groups by the mean of its pictures: "
    text += f"{format_percent(figures.accuracy)} recognised"
    if figures.binary is None:
        return f"{text}."
    area = figures.binary.auc
    return f"{text}, ROC AUC {format_number(area)} ({format_interval(area)})."


def describe_intervals(figures: ClassificationMetrics, what: str = "cells") -> str:
    """Return where the intervals come from, and when they are not to be relied on."""
    if figures.resampled != "groups":
        return f"95 % of 1,000 bootstrap draws of {what}."
    if figures.groups == 1:
        return f"None, as all these {what} come from one group, which says nothing about others."
    text = f"95 % of 1,000 bootstrap draws of the {figures.groups} groups (patients, slides)."
    few = (
        " So few groups make rough intervals, mostly too narrow."
        if figures.has_rough_intervals
        else ""
    )
    return text + few


def _split(results: EvaluationResults) -> str:
    if results.part != "out-of-fold":
        return str(results.run["split"])
    folds = len({item.fold for item in results.items})
    return f"{folds} folds by turns; the first: {results.run['split']}"


def class_table(figures: ClassificationMetrics, what: str = "cells") -> ReportTable:
    """Return precision, recall and F1 of each class with their intervals."""
    rows = [
        (
            class_metrics.name,
            f"{class_metrics.n:,}",
            *(
                f"{format_number(each)} ({format_interval(each)})"
                for each in (class_metrics.precision, class_metrics.recall, class_metrics.f1)
            ),
        )
        for class_metrics in figures.classes
    ]
    heading = ("class", what, "precision", "recall (sensitivity)", "F1")
    return ReportTable("Each class", heading, tuple(rows))


def describe_checkpoint(results: EvaluationResults, history: Sequence[EpochRecord]) -> str:
    """Return which round's weights the model has."""
    if not history or results.run["recipe"]["keep"] != "best":
        return "The weights of the last round are kept."
    best = min(range(len(history)), key=lambda index: history[index].validation_loss)
    start = results.run.get("start_loss")
    if start is not None and start <= history[best].validation_loss:
        return "No round was better than the model that it started from: its weights are kept."
    text = f"The weights after round {best + 1}, with the least validation loss, are kept."
    folds = " These are the curves of the first fold." if results.part == "out-of-fold" else ""
    stages = {record.stage for record in history}
    return text + (" Dotted: where the body began to learn." if len(stages) > 1 else "") + folds


def pair_table(results: EvaluationResults) -> ReportTable:
    """Return the most confused pairs."""
    rows = [
        (f"{pair.label} taken for {pair.predicted}", f"{pair.count}", f"{100 * pair.share:.1f} %")
        for pair in results.confusion.pairs(8)
    ]
    rows = rows or [("none", "0", "–")]
    return ReportTable(
        "Most confused", ("", subject_noun(results), "of the given class"), tuple(rows)
    )


def describe_calibration(results: EvaluationResults) -> str:
    """Return what the confidence stands on."""
    figures = results.figures
    return (
        f"Expected calibration error {figures.ece:.3f}, log loss {figures.log_loss:.3f}. Where a "
        "dot lies on the line, as many were right as the confidence said; the larger a dot, the "
        "more of them. One temperature, fitted on the validation part, corrects the confidence."
    )


def provenance_rows(
    results: EvaluationResults, encoder: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Return what the run depends on."""
    run: Mapping[str, Any] = results.run
    rule, recipe = run["split_rule"], run["recipe"]
    counts = ", ".join(f"{count:,} {name}" for name, count in run["counts"].items())
    rules = ", ".join(f"{name} {value}" for name, value in rule.items())
    settings = ", ".join(f"{name} {value}" for name, value in recipe.items())
    versions = ", ".join(f"{name} {value}" for name, value in run["versions"].items())
    learned = (
        f"{run['epochs']} rounds in {format_duration(run['seconds'])} on {run['device']}, "
        f"{run['processes']} process(es); rate {run['rate']:.2g}"
    )
    rows = [
        ("Pictures", f"{run['source']}: {counts}"),
        ("Their SHA-256", f"{run['data_sha256']} (every file with its class)"),
        ("Split", f"by a hash of each picture’s or group’s identity; {rules}; parts in split.csv"),
        ("Architecture", f"{recipe['arch']}, {run['parameters']:,} parameters"),
        ("Began with", run["weights"]),
        ("Result", ", ".join(f"{name} {value}" for name, value in encoder.items())),
        ("Learned", learned),
        ("Temperature", f"{run['temperature']:.3f}, fitted on the validation part"),
        ("Seed", f"{recipe['seed']}"),
        ("Recipe", settings),
        ("Versions", versions),
    ]  # fmt: skip
    return tuple(rows)
