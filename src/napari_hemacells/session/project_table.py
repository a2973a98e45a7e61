"""The cells of all images of a project in one table, classified as the image on the screen is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_hemacells.core import annotate
from napari_hemacells.core.errors import ProjectError
from napari_hemacells.core.store.joint_table import (
    ImageRows,
    JointTable,
    group_name,
    image_labels,
    join_tables,
    model_notes,
)
from napari_hemacells.core.store.tables import cells_table
from napari_hemacells.core.types import Embeddings, Progress, SmearImage
from napari_hemacells.session.cached_embeddings import cell_embeddings, picture_embeddings

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from napari_hemacells.core.annotate import Annotation, Palette
    from napari_hemacells.core.annotate.cell_edits import Corrections
    from napari_hemacells.core.classify import Head, Reference
    from napari_hemacells.core.store import Project
    from napari_hemacells.core.store.schema import StoredImage
    from napari_hemacells.core.types import Cells, Prediction
    from napari_hemacells.session.session import Session


@dataclass(frozen=True, eq=False)
class OpenImage:
    """The image on the screen, its cells and what the classifier says of them."""

    image: SmearImage
    cells: Cells
    prediction: Prediction | None


@dataclass(frozen=True, eq=False)
class ProjectTableRequest:
    """All that the table is made of, frozen when it is asked for."""

    project: Project
    palette: Palette
    shown: OpenImage
    annotations: Mapping[str, Mapping[int, Annotation]]
    corrections: Mapping[str, Corrections]
    head: Head | None
    embeddings: Embeddings | None
    references: Mapping[str, Reference]
    notes: tuple[str, ...]


def request_project_table(session: Session) -> ProjectTableRequest | None:
    """Return what the table is made of; ``None`` without an open image with cells."""
    project, history = session.project, session.history
    if project is None or history is None or session.image is None or session.cells is None:
        return None
    live, state, keys = session.live, history.state, [entry.key for entry in project.images]
    return ProjectTableRequest(
        project,
        session.palette,
        OpenImage(session.image, session.cells, session.prediction),
        {key: dict(state.annotations_of_image(key)) for key in keys},
        {key: state.corrections_of(key) for key in keys},
        None if live.latest is None else live.latest.head,
        live.embeddings,
        live.shift_references,
        _notes(session),
    )


def _notes(session: Session) -> tuple[str, ...]:
    live = session.live
    if live.latest is None or live.embeddings is None:
        return ("No model took part: classes are a person's or the detector's.",)
    head = live.latest.head
    name = "" if session.project is None else session.project.name
    if live.model is not None:
        name = live.model.bundle.name
    names = {entry.id: entry.name for entry in session.palette}
    learned = zip(head.class_ids, head.counts, strict=True)
    counts = {names.get(key, key): count for key, count in learned}
    return model_notes(name, counts, live.embeddings.encoder.seen)


def project_table_steps(request: ProjectTableRequest) -> Generator[Progress, None, JointTable]:
    """Return the table of all images of the project that have cells; yield after each.

    Cells of other images are classified where their embeddings are in the project's cache; the
    notes say how many are not.
    """
    here = request.shown.image
    stored = [
        entry for entry in request.project.images if entry.key == here.key or _has(request, entry)
    ]
    labels = image_labels([entry.path or entry.name for entry in stored])
    parts, waiting = [], 0
    for number, (entry, label) in enumerate(zip(stored, labels, strict=True)):
        yield Progress(number, len(stored), "Table of all images: %v of %m")
        try:
            image = request.shown if entry.key == here.key else _load(request, entry)
        except ProjectError:  # damaged; told when the image is opened
            waiting += 1
            continue
        table = cells_table(
            image.image, image.cells, request.annotations[entry.key], image.prediction,
            request.palette,
        )  # fmt: skip
        if entry.kind == "pictures":
            parts += _rows_of_pictures(request, entry, table, "" if len(stored) == 1 else label)
        else:
            parts.append(ImageRows(label, table, group_name(entry.groups), entry.path or ""))
        waiting += request.head is not None and image.prediction is None
    notes = request.notes
    if waiting:
        images = "1 image was" if waiting == 1 else f"{waiting} images were"
        notes += (f"{images} not classified yet: open each once, then export again.",)
    names = [entry.name for entry in request.palette]
    return join_tables(parts, names, notes, request.palette.kind_names)


def _has(request: ProjectTableRequest, stored: StoredImage) -> bool:
    return request.project.has_cells(stored.key)


def _rows_of_pictures(
    request: ProjectTableRequest, stored: StoredImage, table: pd.DataFrame, label: str
) -> list[ImageRows]:
    """Return a part for each picture of a folder, called by its path from there.

    Parameters
    ----------
    label
        What the folder is called where the table has other images too.
    """
    pictures = request.project.load_pictures(stored.key)
    groups = pictures.groups()
    lines = table.to_dict("records")
    return [
        ImageRows(
            f"{label}/{line['image']}" if label else str(line["image"]),
            pd.DataFrame([line]),
            groups.get(int(line["label"]), ""),
            str(pictures.folder / str(line["image"])),
        )
        for line in lines
    ]


def _load(request: ProjectTableRequest, stored: StoredImage) -> OpenImage:
    saved = request.project.load_cells(stored.key)
    cells = annotate.apply_corrections(saved, request.corrections[stored.key])
    nothing = np.broadcast_to(np.uint8(0), (*stored.shape, 3))  # no pixel is looked at
    image = SmearImage(nothing, stored.key, stored.name, groups=stored.groups)
    return OpenImage(image, cells, _predict(request, stored.key, cells))


def _predict(request: ProjectTableRequest, key: str, cells: Cells) -> Prediction | None:
    """Classify the cells as those on the screen; ``None`` where not all embeddings are known."""
    from napari_hemacells.core.classify import restandardise, without_contradictions

    like = request.embeddings
    if request.head is None or like is None or len(cells) == 0:
        return None
    if request.project.image(key).kind == "pictures":
        numbers = cells.ids.tolist()
        embeddings, complete = picture_embeddings(request.project, key, like, numbers)
    else:
        embeddings, complete = cell_embeddings(request.project, key, like, cells)
    if not complete:
        return None
    reference = request.references.get(key)
    if reference is not None:
        embeddings = restandardise(embeddings, reference)
    prediction = request.head.predict(embeddings)
    if len(prediction.class_ids) == 1 and prediction.class_ids[0] in request.palette:
        only = prediction.class_ids[0]
        given = request.annotations[key].items()
        mine = [cell for cell, annotation in given if annotation.class_id == only]
        name = request.palette.by_id(only).name
        prediction = without_contradictions(prediction, cells, name, mine)
    here = request.shown.prediction
    return replace(
        prediction,
        nearest=here is not None and here.nearest,
        restandardised=reference is not None,
    )
