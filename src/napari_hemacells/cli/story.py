"""The whole story on the synthetic smear, through the same session as in the dock."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hemacells.cli.console import Reporter
from napari_hemacells.cli.truth import Score, choose_clicks, match_truth, score
from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.params import EncodeParams
from napari_hemacells.core.types import Cells, CropSpec, Embeddings, Prediction, SmearImage
from napari_hemacells.session import Session, answer

if TYPE_CHECKING:
    from napari_hemacells.core.store import Project

ANNOTATOR = "synthetic ground truth"


@dataclass(frozen=True)
class Story:
    """What the session came to, and what the ground truth says of it.

    Attributes
    ----------
    true_cells
        Cells that the smear was drawn with.
    clicks
        Class name of each clicked cell.
    """

    session: Session
    project: "Project"
    image: SmearImage
    cells: Cells
    embeddings: Embeddings
    prediction: Prediction
    true_cells: int
    clicks: dict[int, str]
    score: Score


def tell_story(
    folder: Path, clicks: int, seed: int, encode: EncodeParams, reporter: Reporter
) -> Story:
    """Return the story told in a new project under the folder.

    Raises
    ------
    CellsError
        If there is nothing to learn from, because no detected cell is a true one.
    """
    from napari_hemacells.core.encode.choices import settled
    from napari_hemacells.core.image import read_image
    from napari_hemacells.core.store import write_overlay
    from napari_hemacells.samples import synthetic_smear

    reporter.say("Drawing a smear")
    smear = synthetic_smear(seed=seed)
    picture = folder / "smear.png"
    write_overlay(picture, smear.image)
    image = read_image(picture)
    session = Session(ANNOTATOR)
    project = new_project(folder)
    session.use_project(project)
    session.show_image(image)
    cells = detect_cells(session, image, reporter)
    classes = dict(zip(smear.table["label"], smear.table["class"], strict=True))
    truth = match_truth(cells, smear.labels, classes)
    clicked = choose_clicks(truth, clicks, seed)
    click(session, clicked)
    embeddings = embed_cells(project, image, cells, encode, reporter)
    session.set_encoder(settled(encode.encoder))
    session.set_embeddings(embeddings)
    prediction = classify(session)
    names = {one.id: one.name for one in session.palette}
    scored = score(prediction, names, truth, set(clicked))
    return Story(
        session, project, image, cells, embeddings, prediction, len(classes), clicked, scored
    )


def new_project(folder: Path) -> "Project":
    """Return a new project in the folder, beside those of earlier runs: their clicks stay."""
    from napari_hemacells.core.store import Project

    place, number = folder / "project", 1
    while place.exists():
        number += 1
        place = folder / f"project-{number}"
    return Project.create(place, "HemaCells demo")


def detect_cells(session: Session, image: SmearImage, reporter: Reporter) -> Cells:
    """Return the cells, kept in the session's project."""
    from napari_hemacells.core.detect import detect_steps

    cells = reporter.run(detect_steps(image), "Detecting cells")
    session.set_cells(cells)
    return cells


def click(session: Session, clicked: dict[int, str]) -> None:
    """Annotate cells one by one, as a user would: each click is a line of the journal."""
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
    from napari_hemacells.core.encode import encoder as encoder_named

    reporter.say(choose_device(encode.device).reason)
    encoder, spec = encoder_named(encode.encoder, encode.device), CropSpec()
    project.update(encoder=encoder.info, crop=spec)
    cache = EmbeddingCache(project.embeddings_folder)
    steps = embed_steps(image, cells, spec, encoder, cache, batch_size=encode.batch_size)
    return reporter.run(steps, "Embedding cells")


def classify(session: Session) -> Prediction:
    """Return the classes of all cells, as the session shows them after the last click.

    Raises
    ------
    CellsError
        If nothing was clicked.
    """
    request = session.request()
    if request is None:
        raise CellsError("No detected cell is a cell of the ground truth: nothing to learn.")
    found = answer(request)
    session.accept(found)
    return found.prediction
