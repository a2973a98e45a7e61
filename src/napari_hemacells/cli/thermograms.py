"""``hemacells thermograms``: choose, export and measure the thermograms of a study.

Also ``hemacells evaluate thermograms``, which tells sick from healthy patients.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from napari_hemacells.cli.console import Reporter, output_folder
from napari_hemacells.cli.options import (
    JsonCommand,
    JsonTarget,
    NetworkDevice,
    OutFolder,
    RunOptions,
    with_options,
)
from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.files.own_files import without_clutter
from napari_hemacells.core.params import SelectParams
from napari_hemacells.core.thermography.export_regions import CROPS, CropKind
from napari_hemacells.core.thermography.study import EvaluateThermogramsParams

if TYPE_CHECKING:
    from napari_hemacells.core.thermography.cohort import FrameSelection

Frames = Annotated[
    list[Path],
    typer.Argument(
        metavar="FOLDER", help="Folders of temperature matrices (searched recursively), or files."
    ),
]
PatientTable = Annotated[
    Path,
    typer.Option(
        "--patients",
        metavar="TABLE",
        help="CSV or Excel file with the columns patient, diagnosis and, if known, "
        "age and exclusions.",
    ),
]
SHOWN = 10  # blurred frames that are named on the screen; the table has all


def select(
    frames: Frames,
    *,
    patients: PatientTable,
    json: JsonTarget = None,
    params: SelectParams,
    run: RunOptions,
) -> None:
    """Report which frames a study would use, and why the others are left out; writes nothing."""
    reporter = Reporter(quiet=run.quiet, json_to=json)
    selection = _select(frames, patients, params, reporter)
    reporter.finish(_described(selection, params))


def export(
    frames: Frames,
    *,
    patients: PatientTable,
    out: OutFolder,
    json: JsonTarget = None,
    params: SelectParams,
    run: RunOptions,
) -> None:
    """Write the frames of a study as class folders of float TIFF (°C) for `hemacells train`.

    examples.csv keeps the frames of a patient together in every split; left_out.csv gives the
    reason for every frame that is not used.
    """
    from napari_hemacells.core.thermography.export import export_thermograms_steps

    reporter = Reporter(quiet=run.quiet, json_to=json)
    output_folder(out)
    selection = _select(frames, patients, params, reporter)
    table = reporter.run(export_thermograms_steps(selection, out), "Writing thermograms")
    reporter.say(f"Written: {table}")
    reporter.finish({**_described(selection, params), "table": str(table)})


def find_frames(given: Sequence[Path]) -> list[Path]:
    """Return the temperature files among the files and folders, without duplicates.

    Raises
    ------
    ThermogramError
        A file or folder does not exist, or none contains temperatures.
    """
    frames: dict[Path, Path] = {}
    for path in given:
        if not path.exists():
            raise ThermogramError(f"There is no file or folder {path}.")
        folders = [path, *(inner for inner in _folders_in(path))]
        files = [path] if path.is_file() else [file for each in folders for file in _in(each)]
        frames |= {file.resolve(): file for file in files}
    if not frames:
        named = ", ".join(map(str, given))
        raise ThermogramError(f"There are no files with temperatures in {named}.")
    return list(frames.values())


def _folders_in(folder: Path) -> list[Path]:
    """Return the folders at any depth in a folder, hidden ones and what is in them left out."""
    if not folder.is_dir():
        return []
    inner = [path for path in without_clutter(folder.iterdir()) if path.is_dir()]
    return [found for path in inner for found in (path, *_folders_in(path))]


def _in(folder: Path) -> list[Path]:
    from napari_hemacells.core.temperature import find_thermograms

    return find_thermograms(folder)


def _select(
    frames: Sequence[Path], patients: Path, params: SelectParams, reporter: Reporter
) -> "FrameSelection":
    from napari_hemacells.core.thermography.cohort import select_frames_steps
    from napari_hemacells.core.thermography.patients import read_patients

    table = read_patients(patients)
    selection = reporter.run(
        select_frames_steps(find_frames(frames), table, params), "Reading thermograms"
    )
    _print_selection(selection, reporter)
    return selection


def _print_selection(selection: "FrameSelection", reporter: Reporter) -> None:
    """Print the number of frames and patients of each class, and why others are left out."""
    table = Table("class", "frames", "patients", box=None)
    for label, count in selection.counts.items():
        patients = {chosen.frame.patient for chosen in selection.chosen if chosen.label == label}
        table.add_row(label, str(count), str(len(patients)))
    reporter.tell(table)
    blurred = selection.blurred
    others = Counter(excluded.reason for excluded in selection.left_out if excluded not in blurred)
    for reason, count in others.most_common():
        reporter.say(f"left out: {count} × {reason}")
    if blurred:
        reporter.say(f"left out: {len(blurred)} × blurred (sharpness):")
    for blurred_frame in blurred[:SHOWN]:
        reporter.say(f"  {blurred_frame.focus:.2f}  {blurred_frame.path.name}")


def _described(selection: "FrameSelection", params: SelectParams) -> dict[str, Any]:
    return {
        "params": params.model_dump(),
        "counts": selection.counts,
        "chosen": [
            {
                "path": str(chosen.path), "label": chosen.label, "patient": chosen.frame.patient,
                "focus": round(chosen.focus, 3),
            }
            for chosen in selection.chosen
        ],
        "left_out": [
            {
                "path": str(excluded.path), "reason": excluded.reason,
                "focus": None if excluded.focus is None else round(excluded.focus, 3),
            }
            for excluded in selection.left_out
        ],
    }  # fmt: skip


study = typer.Typer(
    help="Choose, export and measure the thermograms of a study.",
    no_args_is_help=True,
    name="thermograms",
)
study.command("select", cls=JsonCommand)(with_options(select))
study.command("export", cls=JsonCommand)(with_options(export))


ExamTable = Annotated[
    Path,
    typer.Argument(
        metavar="EXAMS",
        help="CSV with the columns exam, patient, label (healthy or sick) and, if known, date.",
    ),
]
Temperatures = Annotated[
    Path,
    typer.Option(
        "--data",
        metavar="PATH",
        help=(
            "An .npz file with one matrix per exam (whole numbers are hundredths of "
            "°C), or a folder of thermograms named by exam."
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
    """Tell sick from healthy patients by cross-validation, compared with simple baselines."""
    from napari_hemacells.core.encode import load_encoder
    from napari_hemacells.core.thermography.study import (
        ExamData,
        evaluate_thermograms_steps,
        read_exams,
    )

    reporter = Reporter(quiet=run.quiet, json_to=json)
    listed, stored = read_exams(exams), ExamData.of(data)
    steps = evaluate_thermograms_steps(listed, stored, params, load_encoder("imagenet", device))
    report = reporter.run(steps, "Thermograms")
    if report["warning"]:
        reporter.warn(report["warning"])
    if report["left_out"]:
        reporter.warn(f"Left out: {'; '.join(report['left_out'])}")
    reporter.tell(thermograms_table(report))
    reporter.finish(report)


def thermograms_table(report: dict[str, Any]) -> Table:
    """Return the report as a table: one row per method, baseline and check."""
    table = Table(
        title=f"{report['n_patients']} patients, {report['n_sick']} of them sick; "
        f"{report['n_frames']} frames",
        caption=f"Split: {report['split']}. Intervals: {report['interval']}. AUC, near "
        "dates: of pairs of patients examined within 180 days of each other.",
    )
    table.add_column("method")
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


Crops = Annotated[
    CropKind,
    typer.Option(
        "--crops",
        help="Also write crops for `hemacells train DIR/crops`: each breast, or both "
        "side by side.",
    ),
]
Size = Annotated[
    int, typer.Option(min=16, max=2048, help="Side length of the crops in pixels; an even number.")
]


def regions(
    frames: Frames,
    *,
    out: OutFolder,
    crops: Crops = "none",
    size: Size = 224,
    json: JsonTarget = None,
    run: RunOptions,
) -> None:
    """Find both breasts in frontal thermograms and write their measurements in °C."""
    from napari_hemacells.core.thermography.export_regions import export_regions_steps

    if size % 2:
        raise typer.BadParameter("an even number is needed.", param_hint="--size")
    reporter = Reporter(quiet=run.quiet, json_to=json)
    output_folder(out)
    steps = export_regions_steps(find_frames(frames), out, crops=crops, size=size)
    table, left_out = reporter.run(steps, "Measuring")
    for reason in left_out:
        reporter.warn(f"Left out: {reason}")
    reporter.tell(f"Table: {table}")
    if crops != "none":
        reporter.tell(f"Crops: {out / CROPS}")
    reporter.finish({"table": str(table), "left_out": left_out})
