"""``hemacells thermograms regions FOLDER --out DIR``: breasts found, measured, cut out."""

from typing import Annotated

import typer

from napari_hemacells.cli.console import Reporter, output_folder
from napari_hemacells.cli.options import JsonTarget, OutFolder, RunOptions
from napari_hemacells.cli.thermograms import Frames, find_frames
from napari_hemacells.core.store.thermogram_regions import CROPS, CropKind

Crops = Annotated[
    CropKind,
    typer.Option(
        "--crops",
        help="Write crops for `hemacells train DIR/crops` too: each breast, or both side by side.",
    ),
]
Size = Annotated[int, typer.Option(min=16, max=2048, help="Side of the crops in pixels; even.")]


def regions(
    frames: Frames,
    *,
    out: OutFolder,
    crops: Crops = "none",
    size: Size = 224,
    json: JsonTarget = None,
    run: RunOptions,
) -> None:
    """Find both breasts of frontal thermograms and write what they measure, in °C."""
    from napari_hemacells.core.store.thermogram_regions import export_regions_steps

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
