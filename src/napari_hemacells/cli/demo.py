"""``hemacells demo``: the whole story on a synthetic smear, from pixels to a report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_hemacells.cli.console import Reporter, output_folder
from napari_hemacells.cli.options import JsonTarget, RunOptions
from napari_hemacells.cli.tally import count, in_words
from napari_hemacells.cli.viewer import open_viewer, why_no_viewer
from napari_hemacells.core.params import EncodeParams

if TYPE_CHECKING:
    from napari_hemacells.cli.results import Results
    from napari_hemacells.cli.truth import Score

DemoOut = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")
]
Viewer = Annotated[
    bool, typer.Option("--viewer/--no-viewer", help="Open napari, where there is a display.")
]
Clicks = Annotated[int, typer.Option(min=1, help="Clicks a class.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the smear and of the clicks.")]


def demo(
    *,
    out: DemoOut = Path("hemacells-demo"),
    viewer: Viewer = True,
    clicks: Clicks = 5,
    seed: Seed = 0,
    json: JsonTarget = None,
    encode: EncodeParams,
    run: RunOptions,
) -> None:
    """Draw a smear, detect its cells, click a few, classify all, export, report.

    The clicks come from the synthetic smear's ground truth.
    """
    from napari_hemacells.cli.results import write_results
    from napari_hemacells.cli.story import tell_story

    reporter = Reporter(quiet=run.quiet, json_to=json)
    folder = output_folder(out)
    story = tell_story(folder, clicks, seed, encode, reporter)
    results = write_results(story, folder)
    story.session.close()
    _tell(results, reporter)
    reporter.finish(results.to_dict())
    _show(story.project.folder, reporter, wanted=viewer)


def _tell(results: "Results", reporter: Reporter) -> None:
    story = results.story
    reporter.tell(
        f"Detected {len(story.cells)} cells ({in_words(count(story.cells.table['class']))}); "
        f"the smear was drawn with {story.true_cells}."
    )
    reporter.tell(
        f"Clicked {len(story.clicks)} of them ({in_words(count(story.clicks.values()))}). "
        "These clicks are not a person's: they come from the synthetic ground truth."
    )
    reporter.tell(f"Classified all: {in_words(results.predicted)}.")
    reporter.tell(describe_score(story.score))
    for name, path in results.files.items():
        reporter.tell(f"  {name:<8} {path}")


def describe_score(score: "Score") -> str:
    """Return the score in a sentence that says what it is of."""
    if not score.total:
        return "No detected cell was left to score."
    parts = ", ".join(f"{name} {right}/{n}" for name, (right, n) in score.by_class.items() if n)
    return (
        f"Of the {score.total} detected true cells that nobody clicked, {score.right} got their "
        f"true class: accuracy {score.accuracy:.3f}, 95 % interval {score.low:.3f} to "
        f"{score.high:.3f} ({parts}). This is a drawn smear, not blood."
    )


def _show(project: Path, reporter: Reporter, *, wanted: bool) -> None:
    if not wanted:
        return
    obstacle = why_no_viewer()
    if obstacle:
        reporter.say(f"napari is not opened: {obstacle}.")
        return
    reporter.say("Opening napari with the result; close its window to end.")
    if not open_viewer(project):
        reporter.warn("napari could not be opened here; the results above are complete.")
