"""A training's folder → its report: one page of HTML that refers to nothing outside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from napari_hemacells.core.annotate.state import utc_now
from napari_hemacells.core.encode import EmbeddingCache, bundled_encoder
from napari_hemacells.core.errors import HemaCellsError, ImageError, TrainingError
from napari_hemacells.core.evaluate.fewshot import default_cache_folder
from napari_hemacells.core.files.fsio import write_bytes
from napari_hemacells.core.files.text_tables import read_table
from napari_hemacells.core.store import load_bundle
from napari_hemacells.core.train.classifier.artifacts import (
    EpochRecord,
    write_json,
)
from napari_hemacells.core.train.classifier.label_noise import (
    check_labels_steps,
    check_out_of_fold,
    write_suspects,
)
from napari_hemacells.core.train.classifier.report import plots, text
from napari_hemacells.core.train.classifier.report.figure_tables import (
    read_class_balance,
    read_rate_searches,
)
from napari_hemacells.core.train.classifier.report.galleries import (
    ReportCrops,
    build_galleries,
    frame_reading,
    suspect_gallery,
)
from napari_hemacells.core.train.classifier.report.text import ClassifierReportPage, MatrixRow
from napari_hemacells.core.train.classifier.results import (
    SUSPECTS,
    check_run,
    read_json,
    read_results,
)
from napari_hemacells.core.train.html_report import render
from napari_hemacells.core.train.progress import TrainingReport

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.store import Bundle
    from napari_hemacells.core.train.classifier.artifacts import (
        ClassifierTrainingOutcome,
        CrossValidationResult,
    )
    from napari_hemacells.core.train.classifier.results import EvaluationResults

REPORT, ABOUT_SUSPECTS = "report.html", "suspects.json"
LABELS_NOT_CHECKED = "Nobody has looked for wrong labels yet: hemacells report FOLDER does."
STEPS = 4
Reported = TypeVar("Reported", "ClassifierTrainingOutcome", "CrossValidationResult")


def write_report_steps(
    folder: Path, *, labels: bool = True
) -> Generator[TrainingReport, None, Path]:
    """Return the report's file, after writing it beside the training's tables.

    Parameters
    ----------
    folder
        Of a finished training or cross-validation.
    labels
        Whether to look for wrong labels where nobody has yet.

    Raises
    ------
    TrainingError
        The folder holds no finished training.
    StorageError
        The report cannot be written.
    """
    results = read_results(folder)
    check_run(results)
    note = _known_note(results)
    if labels and not note:
        yield _report_progress(0, "Report: looking for wrong labels")
        note = yield from _label_steps(results)
        results = read_results(folder)
    yield _report_progress(1, "Report: looking where the network looked")
    crops = ReportCrops(results.run["frame"])
    heat, why = _heat(results, crops)
    yield _report_progress(2, "Report: choosing pictures")
    page = _page(results, crops, heat, heat_note=why, label_note=note or LABELS_NOT_CHECKED)
    yield _report_progress(3, "Report: writing")
    write_bytes(folder / REPORT, render(page, "classifier.html").encode())
    return folder / REPORT


def with_report_steps(outcome: Reported) -> Generator[TrainingReport, None, Reported]:
    """Return what came of a training with its report, or with a note why there is none.

    Whatever keeps a report from being written, the model is there already.
    """
    try:
        file = yield from write_report_steps(outcome.folder)
    except HemaCellsError as error:
        note = f"The report was not written: {error}"
        return replace(outcome, notes=(*outcome.notes, note))
    return replace(outcome, report=file)


def _report_progress(done: int, message: str) -> TrainingReport:
    return TrainingReport(done, STEPS, message, phase="end")


def _known_note(results: EvaluationResults) -> str:
    """Return how the suspects were found; nothing where that was with other pictures or never."""
    about = results.folder / ABOUT_SUSPECTS
    known = read_json(about) if about.is_file() and results.suspects else {}
    fits = known.get("data_sha256") == results.run.get("data_sha256")
    return str(known.get("note", "")) if fits else ""


def _label_steps(results: EvaluationResults) -> Generator[TrainingReport, None, str]:
    """Write the suspects' table; return in words how they were found, or why they were not."""
    try:
        if results.part == "out-of-fold":
            check = check_out_of_fold(results.folder)
        else:
            cache = EmbeddingCache(default_cache_folder())
            source = Path(results.run["source"])
            pattern = str(results.run["recipe"].get("label_pattern", ""))
            check = yield from check_labels_steps(
                source,
                bundled_encoder(),
                cache=cache,
                label_pattern=pattern,
                selection=frame_reading(results.run["frame"]).selection,
            )
    except (TrainingError, ImageError) as error:
        return str(error)
    note = (
        f"{check.flagged} of {len(check.suspects):,} labels are doubted by models that have not "
        f"seen the cell (confident learning); the worst first, all of them in {SUSPECTS}. "
        f"{check.method}."
    )
    write_suspects(results.folder / SUSPECTS, check.suspects)
    about = results.folder / ABOUT_SUSPECTS
    write_json(about, {"note": note, "data_sha256": results.run["data_sha256"]})
    return note


def _heat(results: EvaluationResults, crops: ReportCrops) -> tuple[dict[str, str], str]:
    """Return heat maps of the pictures shown by name, or why there are none."""
    from napari_hemacells.core.train.classifier.report.heatmaps import gradcam_uris

    try:
        return gradcam_uris(results, crops), ""
    except HemaCellsError as error:
        return {}, str(error)


class _Model(NamedTuple):
    """What a reader must know of the model."""

    seen: str
    encoder: dict[str, str]


def _model(results: EvaluationResults) -> _Model:
    folder = results.folder if results.part != "out-of-fold" else results.folder / "fold1"
    bundle: Bundle = load_bundle(folder / "model")
    info = bundle.encoder
    return _Model(info.seen, {"model": bundle.name, "network’s SHA-256": info.sha256})


def _page(
    results: EvaluationResults,
    crops: ReportCrops,
    heat: dict[str, str],
    *,
    heat_note: str,
    label_note: str,
) -> ClassifierReportPage:
    figures, run, model = results.figures, results.run, _model(results)
    notes = [note for note in run["notes"] if not note.startswith("The best round and")]
    course = results.folder if results.part != "out-of-fold" else results.folder / "fold1"
    history = _history(course / "log.csv")
    return ClassifierReportPage(
        title=model.encoder["model"],
        created=utc_now(),
        verdict=text.verdict(results),
        facts=text.headline_metrics(figures),
        stands_on=text.describe_basis(results, model.seen),
        cautions=tuple(notes),
        classes=text.class_table(figures, text.subject_noun(results)),
        names=results.classes,
        matrix=_matrix(results),
        pairs=text.pair_table(results),
        curves=plots.learning_curves(history),
        balance=_balance(course),
        finders=_finders(course),
        reliability=plots.reliability_diagram(figures.reliability),
        roc=plots.roc_curve(figures.binary) if figures.binary and figures.binary.roc else "",
        calibration=text.describe_calibration(results),
        galleries=tuple(build_galleries(results, crops, heat, heat_note)),
        notes=(text.describe_checkpoint(results, history),),
        suspects=suspect_gallery(
            results.suspects if _known_note(results) else (), crops, label_note
        ),
        provenance=text.provenance_rows(results, model.encoder),
        command=run["command"],
    )


def _matrix(results: EvaluationResults) -> tuple[MatrixRow, ...]:
    rows = zip(
        results.classes, results.confusion.counts, results.confusion.normalised, strict=True
    )
    return tuple(
        MatrixRow(
            name,
            tuple(int(count) for count in counts),
            tuple(float(share) if np.isfinite(share) else None for share in shares),
        )
        for name, counts, shares in rows
    )


def _history(file: Path) -> list[EpochRecord]:
    return [
        EpochRecord(
            stage=row["stage"],
            epoch=int(row["epoch"]),
            train_loss=float(row["train_loss"]),
            validation_loss=float(row["validation_loss"]),
            accuracy=float(row["accuracy"]),
            rate=float(row["rate"]),
            portion=int(row["portion"]),
            seconds=float(row["seconds"]),
        )
        for row in read_table(file).records()
    ]


def _finders(folder: Path) -> tuple[str, ...]:
    """Return the learning rate finder's curves; none where the rates were given."""
    return tuple(
        plots.lr_finder_plot(search.curve, search.taken, search.title)
        for search in read_rate_searches(folder)
    )


def _balance(folder: Path) -> str:
    """Return how many pictures of each class were in each part, as bars."""
    return plots.class_balance(*read_class_balance(folder))
