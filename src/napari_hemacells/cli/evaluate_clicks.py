"""``hemacells evaluate clicks FOLDER``: how many clicks an accuracy costs."""

import io
from csv import writer
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from napari_hemacells.cli.console import Reporter, write_text
from napari_hemacells.cli.evaluate import ClassFolders, EncoderName, Seed, crop_of, make_encoder
from napari_hemacells.cli.options import JsonTarget, NetworkDevice, RunOptions
from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.params import ClassifyParams

if TYPE_CHECKING:
    from napari_hemacells.core.evaluate.clicks import ClickCurve

COLUMNS = ("order", "clicks", "balanced_accuracy", "low", "high")
Clicks = Annotated[
    int | None,
    typer.Option(min=2, help="Clicks in all.", show_default="20 a class"),
]
Repeats = Annotated[int, typer.Option(min=1, help="Draws of what can be clicked.")]
CsvFile = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE", help="Write the curves as a table.")
]
PlotFile = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE.png", help="Draw the curves.")
]


def clicks(
    folder: ClassFolders,
    *,
    clicks: Clicks = None,
    repeats: Repeats = 20,
    seed: Seed = 0,
    encoder: EncoderName = "bundled",
    params: ClassifyParams,
    json: JsonTarget = None,
    csv: CsvFile = None,
    plot: PlotFile = None,
    device: NetworkDevice = "auto",
    run: RunOptions,
) -> None:
    """Label what the queue proposes, as a user would, against random order."""
    from napari_hemacells.core.evaluate import class_folders
    from napari_hemacells.core.evaluate.clicks import clicks_steps

    class_folders(folder)  # a wrong folder is told before the network is loaded
    reporter = Reporter(quiet=run.quiet, json_to=json)
    network, spec = make_encoder(encoder, device), crop_of(encoder)
    steps = clicks_steps(
        folder, network, clicks=clicks, repeats=repeats, seed=seed, params=params, spec=spec
    )
    found = reporter.run(steps, "Simulated clicks")
    reporter.tell(as_table(found))
    if csv is not None:
        write_text(csv, as_csv(found))
    if plot is not None:
        draw(found, plot)
    reporter.finish(found.to_dict())


def as_table(curve: "ClickCurve") -> Table:
    """Return the clicks that each order needs."""
    table = Table(
        title=f"{curve.encoder}: {curve.target:.3f} is what {curve.clicks} random clicks reach",
        caption=f"Mean of {curve.repeats} draws; scored on crops that were never seen.",
    )
    for heading in ("order", "clicks to reach it", f"accuracy after {curve.clicks}"):
        table.add_column(heading, justify="right")
    for order, needed in curve.needed().items():
        last = curve.of(order)[-1].balanced_accuracy
        table.add_row(order, "not reached" if needed is None else str(needed), f"{last:.3f}")
    return table


def as_csv(curve: "ClickCurve") -> str:
    """Return the points of all curves, a line each."""
    text = io.StringIO()
    table = writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows([getattr(point, name) for name in COLUMNS] for point in curve.points)
    return text.getvalue()


def draw(curve: "ClickCurve", file: Path) -> None:
    """Write the curves as a picture.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for order in dict.fromkeys(point.order for point in curve.points):
        points = curve.of(order)
        places = [point.clicks for point in points]
        (line,) = axes.plot(places, [one.balanced_accuracy for one in points], label=order)
        bounds = [one.low for one in points], [one.high for one in points]
        axes.fill_between(places, *bounds, color=line.get_color(), alpha=0.12, linewidth=0)
    axes.axhline(curve.target, color="0.5", linestyle=":", linewidth=1)
    axes.set(xlabel="clicks", ylabel="balanced accuracy", xlim=(0, curve.clicks))
    axes.set_title(f"{curve.encoder}, {curve.repeats} draws; band: middle 95 %", fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    try:
        figure.savefig(file, dpi=150)
    except (OSError, ValueError) as error:
        raise StorageError(f"{file} cannot be written: {error}.") from error
