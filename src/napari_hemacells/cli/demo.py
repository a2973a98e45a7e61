"""``hemacells demo``: the whole workflow on a synthetic smear, from pixels to a report.

It uses the same session as the dock. The annotations and the measured accuracy come from the
ground truth of the smear. If there is a display, napari opens with the result.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from napari_hemacells.cli.console import Reporter, count_values, format_counts, output_folder
from napari_hemacells.cli.options import JsonTarget, RunOptions
from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.params import EncodeParams
from napari_hemacells.core.types import (
    Cells,
    CropSpec,
    Embeddings,
    Prediction,
    SmearImage,
)
from napari_hemacells.session import Session, run_classification

if TYPE_CHECKING:
    from napari_hemacells.core.store import Project

OPEN_RESULT_CODE = (
    "import sys; from napari_hemacells.widgets import open_result; open_result(sys.argv[1])"
)


def viewer_unavailable_reason(
    platform: str = sys.platform, environ: Mapping[str, str] = os.environ
) -> str:
    """Return why no window can be opened here; empty if one can."""
    if environ.get("CI"):
        return "this is an automated run (CI is set)"
    if platform.startswith("linux") and not (
        environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
    ):
        return "there is no display here"
    if platform == "darwin" and environ.get("SSH_CONNECTION"):
        return "this is a remote session without a display"
    return ""


def open_viewer(project: Path) -> bool:
    """Return whether napari showed the project, once its window is closed.

    napari runs in its own process: if Qt finds a display that it cannot use, it ends the process,
    and the results of this one must survive.
    """
    command = [sys.executable, "-c", OPEN_RESULT_CODE, str(project)]
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603  # our own command


DemoOut = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")
]
Viewer = Annotated[
    bool, typer.Option("--viewer/--no-viewer", help="Open napari if there is a display.")
]
Clicks = Annotated[int, typer.Option(min=1, help="Annotated cells per class.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the smear and of the annotations.")]


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
    """Run the workflow on a synthetic smear: detect, annotate, classify, export, report.

    The annotations come from the ground truth of the smear.
    """
    reporter = Reporter(quiet=run.quiet, json_to=json)
    folder = output_folder(out)
    story = run_demo(folder, clicks, seed, encode, reporter)
    results = write_demo_results(story, folder)
    story.session.close()
    _print_results(results, reporter)
    reporter.finish(results.to_dict())
    _show_in_viewer(story.project.folder, reporter, wanted=viewer)


def _print_results(results: "DemoResults", reporter: Reporter) -> None:
    story = results.story
    reporter.tell(
        f"Detected {len(story.cells)} cells "
        f"({format_counts(count_values(story.cells.table['class']))}); the "
        f"synthetic smear has {story.true_cells}."
    )
    reporter.tell(
        f"Annotated {len(story.clicks)} of them "
        f"({format_counts(count_values(story.clicks.values()))}). These "
        "annotations are not a person's: they come from the synthetic ground "
        "truth."
    )
    reporter.tell(f"Classified all: {format_counts(results.predicted)}.")
    reporter.tell(format_score(story.score))
    for name, path in results.files.items():
        reporter.tell(f"  {name:<8} {path}")


def format_score(score: "UnclickedScore") -> str:
    """Return the accuracy as a sentence that says what was measured."""
    if not score.total:
        return "No detected cell was left to measure the accuracy on."
    parts = ", ".join(f"{name} {right}/{n}" for name, (right, n) in score.by_class.items() if n)
    return (
        f"Of {score.total} detected cells with a known class and no annotation, "
        f"{score.right} were classified correctly: accuracy {score.accuracy:.3f}, "
        f"95 % interval {score.low:.3f} to {score.high:.3f} ({parts}). This is a "
        "drawn smear, not blood."
    )


def _show_in_viewer(project: Path, reporter: Reporter, *, wanted: bool) -> None:
    if not wanted:
        return
    obstacle = viewer_unavailable_reason()
    if obstacle:
        reporter.say(f"napari is not opened: {obstacle}.")
        return
    reporter.say("Opening napari with the result; close its window to end.")
    if not open_viewer(project):
        reporter.warn("napari could not be opened here; the results above are complete.")


MIN_IOU = 0.5  # intersection over union from which a detection is that cell


@dataclass(frozen=True)
class UnclickedScore:
    """Accuracy on the cells that were not annotated.

    Attributes
    ----------
    right, total
        Cells that got their true class, and all cells with a known class.
    low, high
        95 % Wilson interval of their ratio.
    by_class
        The same two numbers for each true class.
    """

    right: int
    total: int
    low: float
    high: float
    by_class: dict[str, tuple[int, int]]

    @property
    def accuracy(self) -> float:
        """Share of correct cells."""
        return self.right / self.total if self.total else float("nan")


def match_truth(
    cells: Cells, labels: NDArray[np.int32], classes: Mapping[int, str]
) -> dict[int, str]:
    """Return the true class of each detected cell that is a true cell (overlap of 0.5 or more).

    Parameters
    ----------
    cells
        The detected cells.
    labels
        ``(rows, cols)`` true cells, 0 glass.
    classes
        The class of each true cell by its label.
    """
    found_labels = np.asarray(cells.labels)
    pairs, shared = np.unique(
        np.stack([found_labels.ravel(), labels.ravel()]), axis=1, return_counts=True
    )
    found_areas = np.bincount(found_labels.ravel())
    true_areas = np.bincount(labels.ravel())
    matched: dict[int, str] = {}
    for (detected, true), pixels in zip(pairs.T, shared, strict=True):
        union = found_areas[detected] + true_areas[true] - pixels
        if detected and true and pixels >= MIN_IOU * union:
            matched[int(detected)] = classes[int(true)]
    return matched


def choose_clicks(truth: Mapping[int, str], each: int, seed: int) -> dict[int, str]:
    """Draw ``each`` cells of every class at random; of a smaller class all but one."""
    generator = np.random.default_rng(seed)
    clicks: dict[int, str] = {}
    for name in sorted(set(truth.values())):
        members = np.array(
            sorted(cell for cell, class_name in truth.items() if class_name == name)
        )
        number = min(each, max(1, len(members) - 1))
        clicks |= {int(cell): name for cell in generator.permutation(members)[:number]}
    return clicks


def score_unclicked(
    prediction: Prediction, names: Mapping[str, str], truth: Mapping[int, str], clicked: set[int]
) -> UnclickedScore:
    """Return the accuracy on the cells with a known class that were not annotated.

    Parameters
    ----------
    names
        Class name of each class id.
    """
    from scipy.stats import binomtest

    by_class: dict[str, tuple[int, int]] = dict.fromkeys(sorted(set(truth.values())), (0, 0))
    for cell, column in zip(prediction.ids.tolist(), prediction.predicted_column, strict=True):
        if cell in clicked or cell not in truth:
            continue
        right, total = by_class[truth[cell]]
        hit = names[prediction.class_ids[column]] == truth[cell]
        by_class[truth[cell]] = right + hit, total + 1
    right, total = (sum(column) for column in zip(*by_class.values(), strict=True))
    if not total:
        return UnclickedScore(0, 0, float("nan"), float("nan"), by_class)
    interval = binomtest(right, total).proportion_ci(method="wilson")
    return UnclickedScore(right, total, float(interval.low), float(interval.high), by_class)


GROUND_TRUTH_ANNOTATOR = "synthetic ground truth"


@dataclass(frozen=True)
class DemoRun:
    """The finished session, and the ground truth to measure it with.

    Attributes
    ----------
    true_cells
        Number of cells in the synthetic smear.
    clicks
        Class name of each annotated cell.
    """

    session: Session
    project: "Project"
    image: SmearImage
    cells: Cells
    embeddings: Embeddings
    prediction: Prediction
    true_cells: int
    clicks: dict[int, str]
    score: UnclickedScore


def run_demo(
    folder: Path, clicks: int, seed: int, encode: EncodeParams, reporter: Reporter
) -> DemoRun:
    """Run the workflow in a new project under the folder; yield the progress.

    Raises
    ------
    CellsError
        If no detected cell matches a true one, so that there is nothing to learn from.
    """
    from napari_hemacells.core.encode.catalog import portable_name
    from napari_hemacells.core.image import read_image
    from napari_hemacells.core.store import write_overlay
    from napari_hemacells.samples import synthetic_smear

    reporter.say("Drawing a smear")
    smear = synthetic_smear(seed=seed)
    picture = folder / "smear.png"
    write_overlay(picture, smear.image)
    image = read_image(picture)
    session = Session(GROUND_TRUTH_ANNOTATOR)
    project = new_project(folder)
    session.use_project(project)
    session.show_image(image)
    cells = detect_cells(session, image, reporter)
    classes = dict(zip(smear.table["label"], smear.table["class"], strict=True))
    truth = match_truth(cells, smear.labels, classes)
    clicked = choose_clicks(truth, clicks, seed)
    annotate_cells(session, clicked)
    embeddings = embed_cells(project, image, cells, encode, reporter)
    session.set_encoder(portable_name(encode.encoder))
    session.set_embeddings(embeddings)
    prediction = classify_cells(session)
    names = {cell_class.id: cell_class.name for cell_class in session.palette}
    scored = score_unclicked(prediction, names, truth, set(clicked))
    return DemoRun(
        session, project, image, cells, embeddings, prediction, len(classes), clicked, scored
    )


def new_project(folder: Path) -> "Project":
    """Return a new project in the folder, beside those of earlier runs, which are kept."""
    from napari_hemacells.core.store import Project

    project_folder, number = folder / "project", 1
    while project_folder.exists():
        number += 1
        project_folder = folder / f"project-{number}"
    return Project.create(project_folder, "HemaCells demo")


def detect_cells(session: Session, image: SmearImage, reporter: Reporter) -> Cells:
    """Detect the cells and store them in the session's project."""
    from napari_hemacells.core.detect import detect_steps

    cells = reporter.run(detect_steps(image), "Detecting cells")
    session.set_cells(cells)
    return cells


def annotate_cells(session: Session, clicked: dict[int, str]) -> None:
    """Annotate cells one by one, as a user would: each annotation is a line of the journal."""
    for cell, name in clicked.items():
        known = session.palette.by_name(name)
        session.annotate([cell], known.id if known else session.add_class(name))


def embed_cells(
    project: "Project", image: SmearImage, cells: Cells, encode: EncodeParams, reporter: Reporter
) -> Embeddings:
    """Return the embeddings of the cells, cached in the project."""
    from napari_hemacells.core.encode import (
        EmbeddingCache,
        choose_device,
        embed_steps,
    )
    from napari_hemacells.core.encode import load_encoder as encoder_named

    reporter.say(choose_device(encode.device).reason)
    encoder, spec = encoder_named(encode.encoder, encode.device), CropSpec()
    project.update(encoder=encoder.info, crop=spec)
    cache = EmbeddingCache(project.embeddings_folder)
    steps = embed_steps(image, cells, spec, encoder, cache, batch_size=encode.batch_size)
    return reporter.run(steps, "Embedding cells")


def classify_cells(session: Session) -> Prediction:
    """Return the classes of all cells, as the session shows them after the last annotation.

    Raises
    ------
    CellsError
        If nothing was annotated.
    """
    request = session.request()
    if request is None:
        raise CellsError(
            "No detected cell matches the ground truth, so there is nothing to learn "
            "from. Try another --seed."
        )
    result = run_classification(request)
    session.accept(result)
    return result.prediction


@dataclass(frozen=True)
class DemoResults:
    """The results of the demo, and the files that contain them."""

    story: DemoRun
    predicted: dict[str, int]
    files: dict[str, Path]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        scored = asdict(self.story.score) | {"accuracy": self.story.score.accuracy}
        if not self.story.score.total:
            scored |= {"low": None, "high": None, "accuracy": None}
        return {
            "cells": len(self.story.cells),
            "true_cells": self.story.true_cells,
            "clicks": count_values(self.story.clicks.values()),
            "clicks_from": "synthetic ground truth",
            "predicted": self.predicted,
            "head": self.story.prediction.head,
            "score": scored,
            "files": {name: str(path) for name, path in self.files.items()},
        }


def write_demo_results(story: DemoRun, folder: Path) -> DemoResults:
    """Return the results, after writing overlay, table, bundle and report.

    Raises
    ------
    StorageError
        If a file cannot be written.
    """
    from napari_hemacells.core.store import (
        cells_table,
        class_overlay,
        save_bundle,
        shown_classes,
        write_csv,
        write_overlay,
        write_report,
    )
    from napari_hemacells.core.store.report import ReportInput

    session, image, cells = story.session, story.image, story.cells
    palette, annotations = session.palette, session.annotations
    table = cells_table(image, cells, annotations, story.prediction, palette)
    shown = shown_classes(cells, annotations, story.prediction, palette)
    files = {
        "overlay": folder / "overlay.png",
        "cells": folder / "cells.csv",
        "model": folder / "model",
        "report": folder / "report.html",
        "project": story.project.folder,
    }
    write_overlay(files["overlay"], class_overlay(image, cells, shown, palette, legend=True))
    write_csv(files["cells"], table)
    save_bundle(files["model"], session.make_bundle("HemaCells demo"))
    page = ReportInput(
        image=image,
        cells=cells,
        annotations=annotations,
        prediction=story.prediction,
        palette=palette,
        spec=story.embeddings.spec,
        encoder=story.embeddings.encoder,
        title="A synthetic smear; the annotations come from its ground truth",
    )
    write_report(files["report"], page)
    return DemoResults(story, count_values(table["class"]), files)
