"""``hemacells consensus FILE`` and ``hemacells evaluate consensus``: several annotators."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from napari_hemacells.cli.console import Reporter, format_counts
from napari_hemacells.cli.options import JsonTarget, RunOptions
from napari_hemacells.core.consensus.simulation import SimulationParams

if TYPE_CHECKING:
    from napari_hemacells.core.consensus import AnnotatorPoints

Sources = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE",
        help=(
            "Tables (CSV with image, annotator, row, column, class), Cell Spotting answers (CSV), "
            "PyBossa task runs (JSON), or the folders of annotated projects."
        ),
    ),
]
Method = Annotated[
    Literal["radius", "matching", "density", "reliability"],
    typer.Option(
        help=(
            "radius: points of different annotators closer than the radius are one cell, images "
            "with unequal numbers of points are set aside. matching: one to one, at a distance "
            "learnt from the points. density: dense groups of points. reliability: matching, "
            "weighed by the misses, false points and confusions of each annotator."
        )
    ),
]
Radius = Annotated[
    float | None,
    typer.Option(
        help="Pixels up to which points are one cell.",
        show_default="35 for radius, else learnt",
    ),
]
MinShare = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        help="Share of the annotators who must have marked a cell (matching, density).",
    ),
]
KeepAll = Annotated[
    bool,
    typer.Option(
        "--keep-all-images", help="radius: also judge images with unequal numbers of points."
    ),
]
Question = Annotated[
    str,
    typer.Option(
        help="Which points of Cell Spotting answers are read: alive, release, multinuclei …"
    ),
]
OutFile = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE.csv", help="Write the cells, one per row."),
]
ReviewFile = Annotated[
    Path | None,
    typer.Option(
        "--review",
        metavar="FILE.csv",
        help="Write what annotators disagree on, the most doubtful first.",
    ),
]


def consensus(
    files: Sources,
    *,
    method: Method = "matching",
    radius: Radius = None,
    min_share: MinShare = 0.5,
    keep_all_images: KeepAll = False,
    question: Question = "alive",
    out: OutFile = None,
    review: ReviewFile = None,
    json: JsonTarget = None,
    run: RunOptions,
) -> None:
    """Make one set of cells of several annotators' points, and measure how far they agree."""
    from napari_hemacells.core.consensus import make_consensus, summarise

    reporter = Reporter(quiet=run.quiet, json_to=json)
    points = read_points(files, question)
    result = make_consensus(
        points, method, radius=radius, min_share=min_share, set_aside=not keep_all_images
    )
    summary = summarise(result)
    reporter.tell(summary_table(summary))
    reporter.tell(annotators_table(summary))
    if result.set_aside:
        reporter.warn(
            f"Images set aside, as the annotators marked different numbers of cells there: "
            f"{len(result.set_aside):,}. --keep-all-images judges them too."
        )
    if out is not None:
        result.write(out)
        reporter.say(f"Cells: {out}")
    if review is not None:
        result.write(review, result.disagreements)
        reporter.say(f"To look at: {review}")
    reporter.finish(summary)


def read_points(files: list[Path], question: str) -> "AnnotatorPoints":
    """Return the points of all files and projects as one.

    Raises
    ------
    HemaCellsError
        One cannot be read, or holds no points.
    """
    from napari_hemacells.core import consensus as core

    folders = [file for file in files if file.is_dir()]
    parts = [core.read_annotator_points(file, question) for file in files if not file.is_dir()]
    if folders:
        parts.append(core.read_project_points(folders))
    return core.joined_points(parts)


def summary_table(summary: dict[str, Any]) -> Table:
    """Return the figures of a consensus, one row each."""
    table = Table(
        title=f"Consensus by {summary['method']}",
        caption=f"In brackets: {summary['interval']}.",
        show_header=False,
    )
    distance = summary["distance_px"]
    rows = {
        "images": f"{summary['images']:,}, "
        f"{summary['images_with_several_annotators']:,} with several annotators",
        "answers": f"{summary['answers']:,} with {summary['points']:,} points: "
        f"{format_counts(summary['classes'])}",
        "distance": f"{distance['median']:.0f} px ({distance['low']:.0f} to "
        f"{distance['high']:.0f})",
        "cells": f"{summary['cells']:,}: {format_counts(summary['cell_classes'])}",
        "rejected": f"{summary['rejected']:,} points or groups of points",
        "set aside": f"{len(summary['set_aside']):,} images",
        "to look at": f"{summary['disagreements']:,} cells on which annotators disagree",
        "agreement where cells are": _interval(summary["detection_agreement"]),
        "Krippendorff's alpha, classes": _interval(summary["alpha_classes"]),
    }
    if "alpha_states" in summary:
        rows["Krippendorff's alpha, states"] = _interval(summary["alpha_states"])
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def annotators_table(summary: dict[str, Any]) -> Table:
    """Return each annotator's figures, one row each."""
    estimated = any("estimated_misses" in row for row in summary["annotator_figures"])
    table = Table(
        title="Annotators", caption="Against the consensus, in which their own points count."
    )
    headings = ["annotator", "images", "points", "cells marked", "points on cells", "named alike"]
    headings += ["misses", "false points"] if estimated else []
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "annotator" else "right")
    for row in summary["annotator_figures"]:
        cells = [row["annotator"], f"{row['images']:,}", f"{row['points']:,}"]
        cells += [_share(row["marked"]), _share(row["on_cells"]), _share(_alike(row["confusion"]))]
        if estimated:
            cells += [_share(row["estimated_misses"]), _share(row["estimated_false_points"])]
        table.add_row(*cells)
    return table


def _alike(confusion: dict[str, dict[str, int]]) -> float | None:
    total = sum(sum(row.values()) for row in confusion.values())
    return sum(row.get(of, 0) for of, row in confusion.items()) / total if total else None


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _interval(figure: dict[str, float | None]) -> str:
    if figure["value"] is None:
        return "nothing to compare"
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


Repeats = Annotated[int, typer.Option(min=1, max=1000, help="Number of simulations.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the first simulation.")]


def evaluate_consensus(
    *,
    params: SimulationParams,
    repeats: Repeats = 10,
    seed: Seed = 0,
    json: JsonTarget = None,
    run: RunOptions,
) -> None:
    """Measure each method of consensus on simulated annotators, whose cells are known."""
    from napari_hemacells.core.consensus.evaluation import evaluate_methods_steps

    reporter = Reporter(quiet=run.quiet, json_to=json)
    report = reporter.run(evaluate_methods_steps(params, repeats, seed), "Simulated annotators")
    reporter.tell(methods_table(report))
    reporter.finish(report)


def methods_table(report: dict[str, Any]) -> Table:
    """Return the figures of each method, one row each."""
    simulated = report["simulation"]
    table = Table(
        title=f"{simulated['annotators']} simulated annotators, cells "
        f"{simulated['spacing']:g} px apart, {simulated['misses']:.0%} misses, "
        f"{simulated['jitter']:g} px scatter",
        caption=f"In brackets: {report['interval']}. A hit is {report['hit']}.",
    )
    table.add_column("method")
    for heading in ("F1", "precision", "recall", "states right", "offset"):
        table.add_column(heading, justify="right")
    for name, row in report["methods"].items():
        offset = row["offset_px"]["value"]
        table.add_row(
            name,
            *(_interval(row[key]) for key in ("f1", "precision", "recall", "state_accuracy")),
            "–" if offset is None else f"{offset:.1f} px",
        )
    return table
