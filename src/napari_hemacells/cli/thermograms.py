"""``hemacells thermograms …``: choose the frames of a study, and export them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from napari_hemacells.cli.command import JsonCommand
from napari_hemacells.cli.console import Reporter, output_folder
from napari_hemacells.cli.options import JsonTarget, OutFolder, RunOptions, with_options
from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.params import SelectParams

if TYPE_CHECKING:
    from napari_hemacells.core.thermogram import Selection

Frames = Annotated[
    list[Path],
    typer.Argument(
        metavar="FOLDER", help="Folders of temperature matrices (searched to any depth), or files."
    ),
]
PatientTable = Annotated[
    Path,
    typer.Option(
        "--patients",
        metavar="TABLE",
        help="CSV or Excel with the columns patient, diagnosis, and, if known, age, exclusions.",
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
    """Say which frames a study would use and why the others not; nothing is written."""
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

    examples.csv keeps each patient's frames together in every split; left_out.csv says why a
    frame is not used.
    """
    from napari_hemacells.core.store.thermograms import export_thermograms_steps

    reporter = Reporter(quiet=run.quiet, json_to=json)
    output_folder(out)
    selection = _select(frames, patients, params, reporter)
    table = reporter.run(export_thermograms_steps(selection, out), "Writing thermograms")
    reporter.say(f"Written: {table}")
    reporter.finish({**_described(selection, params), "table": str(table)})


def find_frames(given: Sequence[Path]) -> list[Path]:
    """Return the files with temperatures that files and folders stand for, each once.

    Raises
    ------
    ThermogramError
        A file or folder does not exist, or there are no temperatures in any.
    """
    found: dict[Path, Path] = {}
    for one in given:
        if not one.exists():
            raise ThermogramError(f"There is no file or folder {one}.")
        folders = [one, *(inner for inner in sorted(one.rglob("*")) if inner.is_dir())]
        files = [one] if one.is_file() else [file for each in folders for file in _in(each)]
        found |= {file.resolve(): file for file in files}
    if not found:
        named = ", ".join(map(str, given))
        raise ThermogramError(f"There are no files with temperatures in {named}.")
    return list(found.values())


def _in(folder: Path) -> list[Path]:
    from napari_hemacells.core.thermogram import find_thermograms

    return find_thermograms(folder)


def _select(
    frames: Sequence[Path], patients: Path, params: SelectParams, reporter: Reporter
) -> "Selection":
    from napari_hemacells.core.thermogram import read_patients, select_steps

    table = read_patients(patients)
    selection = reporter.run(
        select_steps(find_frames(frames), table, params), "Looking at thermograms"
    )
    _tell(selection, reporter)
    return selection


def _tell(selection: "Selection", reporter: Reporter) -> None:
    """Print frames and patients of each class, and why the others are left out."""
    table = Table("class", "frames", "patients", box=None)
    for label, count in selection.counts.items():
        patients = {one.frame.patient for one in selection.chosen if one.label == label}
        table.add_row(label, str(count), str(len(patients)))
    reporter.tell(table)
    blurred = selection.blurred
    others = Counter(one.reason for one in selection.left_out if one not in blurred)
    for reason, count in others.most_common():
        reporter.say(f"left out: {count} × {reason}")
    if blurred:
        reporter.say(f"left out: {len(blurred)} × blurred (sharpness):")
    for one in blurred[:SHOWN]:
        reporter.say(f"  {one.focus:.2f}  {one.path.name}")


def _described(selection: "Selection", params: SelectParams) -> dict[str, Any]:
    return {
        "params": params.model_dump(),
        "counts": selection.counts,
        "chosen": [
            {
                "path": str(one.path), "label": one.label, "patient": one.frame.patient,
                "focus": round(one.focus, 3),
            }
            for one in selection.chosen
        ],
        "left_out": [
            {
                "path": str(one.path), "reason": one.reason,
                "focus": None if one.focus is None else round(one.focus, 3),
            }
            for one in selection.left_out
        ],
    }  # fmt: skip


study = typer.Typer(
    help="Choose the thermograms of a study, and export them for training.",
    no_args_is_help=True,
    name="thermograms",
)
study.command("select", cls=JsonCommand)(with_options(select))
study.command("export", cls=JsonCommand)(with_options(export))
