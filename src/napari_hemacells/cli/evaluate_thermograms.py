"""``hemacells evaluate thermograms EXAMS.csv --data DATA``: sick and healthy patients apart."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from napari_hemacells.cli.console import Reporter
from napari_hemacells.cli.options import JsonTarget, NetworkDevice, RunOptions
from napari_hemacells.core.evaluate.thermograms import EvaluateThermogramsParams

ExamTable = Annotated[
    Path,
    typer.Argument(
        metavar="EXAMS",
        help="CSV with the columns exam, patient, label (healthy or sick), and date if known.",
    ),
]
Temperatures = Annotated[
    Path,
    typer.Option(
        "--data",
        metavar="PATH",
        help=(
            "An .npz with a matrix for each exam (whole numbers are hundredths of °C), or a "
            "folder of thermograms named by exam."
        ),
    ),
]


def thermograms(
    exams: ExamTable,
    *,
    data: Temperatures,
    params: EvaluateThermogramsParams,
    json: JsonTarget = None,
    device: NetworkDevice = "auto",
    run: RunOptions,
) -> None:
    """Tell sick from healthy patients by cross-validation, beside the simplest baselines."""
    from napari_hemacells.core.encode import encoder
    from napari_hemacells.core.evaluate.thermograms import (
        ExamData,
        evaluate_thermograms_steps,
        read_exams,
    )

    reporter = Reporter(quiet=run.quiet, json_to=json)
    listed, stored = read_exams(exams), ExamData.of(data)
    steps = evaluate_thermograms_steps(listed, stored, params, encoder("imagenet", device))
    report = reporter.run(steps, "Thermograms")
    if report["warning"]:
        reporter.warn(report["warning"])
    if report["left_out"]:
        reporter.warn(f"Left out: {'; '.join(report['left_out'])}")
    reporter.tell(as_table(report))
    reporter.finish(report)


def as_table(report: dict[str, Any]) -> Table:
    """Return the report as a table, a row each for method, baselines and checks."""
    table = Table(
        title=f"{report['n_patients']} patients, {report['n_sick']} of them sick; "
        f"{report['n_frames']} frames",
        caption=f"Split: {report['split']}. Intervals: {report['interval']}. "
        "Near: AUC over pairs examined within 180 days of one another.",
    )
    table.add_column("what decides")
    for heading in ("AUC", "95 %", "near", "sensitivity", "specificity"):
        table.add_column(heading, justify="right")
    table.add_row("method", *_row(report["method"]), end_section=True)
    for group in ("baselines", "checks"):
        for name, own in report[group].items():
            table.add_row(name.replace("_", " "), *_row(own))
        table.add_section()
    return table


def _row(own: dict[str, Any]) -> tuple[str, ...]:
    interval = own.get("ci95")
    return (
        _shown(own["auc"]),
        "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}",
        _shown(own["auc_within_180_days"]),
        _shown(own.get("sensitivity")),
        _shown(own.get("specificity")),
    )


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
