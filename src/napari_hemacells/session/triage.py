"""The triage of a project: the odd cells of all its images in one report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core import annotate
from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.files.fsio import distinct_names, file_name
from napari_hemacells.core.store.joint_table import group_name, image_labels
from napari_hemacells.core.store.tables import shown_classes
from napari_hemacells.core.store.triage import TriageModel, write_triage
from napari_hemacells.core.store.triage_report import (
    TriagedImage,
    TriageReport,
    likeness_in_words,
    odd_in_words,
    write_triage_report,
)
from napari_hemacells.core.types import Progress
from napari_hemacells.session.likeness import (
    IndexRequest,
    cached_embeddings,
    learn_likeness,
    load_saved_likeness,
    request_index,
    request_likeness,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from napari_hemacells.core.annotate import Annotation, Palette
    from napari_hemacells.core.classify import Head
    from napari_hemacells.core.store.schema import StoredImage
    from napari_hemacells.core.store.triage import ImageTriage
    from napari_hemacells.core.types import Cells, Embeddings, Prediction, SmearImage
    from napari_hemacells.session.likeness import LikenessRequest
    from napari_hemacells.session.session import Session


@dataclass(frozen=True, eq=False)
class TriageRequest:
    """All that the triage is made of, frozen when it is asked for."""

    index: IndexRequest
    likeness: LikenessRequest
    image: SmearImage
    cells: Cells
    prediction: Prediction
    head: Head
    palette: Palette
    annotations: Mapping[str, Mapping[int, Annotation]]
    model: str


def request_triage(session: Session) -> TriageRequest | None:
    """Return what the triage is made of; ``None`` before the cells have classes."""
    index, likeness = request_index(session, whole_project=True), request_likeness(session)
    project, history, latest = session.project, session.history, session.live.latest
    if index is None or likeness is None or latest is None or project is None or history is None:
        return None
    if session.image is None or session.cells is None:
        return None
    model = session.live.model
    return TriageRequest(
        index,
        likeness,
        session.image,
        session.cells,
        latest.prediction,
        latest.head,
        session.palette,
        {
            entry.key: dict(history.state.annotations_of_image(entry.key))
            for entry in project.images
        },
        project.name if model is None else model.bundle.name,
    )


def triage_steps(
    request: TriageRequest, folder: Path
) -> Generator[Progress, None, tuple[Path, Path]]:
    """Write the triage of all images of the project into a folder; return page and table.

    Images whose cells are not all embedded, or that were moved, are left out, and the page says
    so. Annotations are not changed, and an annotated cell is never odd.

    Raises
    ------
    StorageError
        Something cannot be written.
    """
    project = request.index.project
    entries = () if project is None else project.images
    likeness = learn_likeness(request.likeness)
    model = TriageModel(request.palette, likeness, request.likeness.support)
    stems = distinct_names([file_name(entry.name) for entry in entries])
    labels = image_labels([entry.path or entry.name for entry in entries])
    images, left_out = [], []
    for number, (entry, stem, label) in enumerate(zip(entries, stems, labels, strict=True)):
        yield Progress(number, len(entries), "Looking for odd cells: image %v of %m")
        try:
            opened = _open(request, entry)
        except HemaCellsError as error:
            left_out.append(f"{label}: {error}")
            continue
        if isinstance(opened, str):
            left_out.append(f"{label}: {opened}")
            continue
        crops = folder / f"{stem}.odd-cells"
        triage = _write(request, entry.key, opened, model, paths=(folder / stem, crops))
        images.append(TriagedImage(label, group_name(entry.groups), triage, crops))
    names = {cell_class.id: cell_class.name for cell_class in request.palette}
    counts = zip(request.head.class_ids, request.head.counts, strict=True)
    report = TriageReport(
        tuple(images),
        request.palette,
        request.model,
        {names.get(key, key): count for key, count in counts},
        request.index.here.encoder.seen,
        likeness_in_words(likeness),
        odd_in_words(images),
        tuple(left_out),
    )
    yield Progress(len(entries), len(entries), "Writing the report")
    return write_triage_report(folder, report)


@dataclass(frozen=True, eq=False)
class _Opened:
    """An image of the project with all that is known of its cells."""

    image: SmearImage
    cells: Cells
    embeddings: Embeddings
    prediction: Prediction


def _open(request: TriageRequest, entry: StoredImage) -> _Opened | str:
    """Return an image with its cells and classes, or why it cannot be used."""
    from napari_hemacells.core.classify import without_contradictions
    from napari_hemacells.core.pictures.contact_sheet import sheet_of
    from napari_hemacells.core.store.project_images import read_stored_image

    here, project = request.index.here, request.index.project
    if entry.key == request.image.key:
        return _Opened(request.image, request.cells, here, request.prediction)
    if project is None or not project.has_cells(entry.key):
        return "no cells were detected yet."
    embeddings, complete = cached_embeddings(request.index, entry)
    if embeddings is None or not complete:
        return "not all cells are embedded yet: open the image once."
    image = read_stored_image(project, entry.key)
    sheet = sheet_of(image)
    if sheet is not None:
        cells = sheet.cells(embeddings.ids)
    else:
        corrections = (request.index.corrections or {})[entry.key]
        cells = annotate.apply_corrections(project.load_cells(entry.key), corrections)
    prediction = request.head.predict(embeddings)
    if len(prediction.class_ids) == 1 and prediction.class_ids[0] in request.palette:
        only = prediction.class_ids[0]
        given = request.annotations[entry.key].items()
        mine = [cell for cell, annotation in given if annotation.class_id == only]
        name = request.palette.by_id(only).name
        prediction = without_contradictions(prediction, cells, name, mine)
    return _Opened(image, cells, embeddings, prediction)


def _write(
    request: TriageRequest,
    key: str,
    opened: _Opened,
    model: TriageModel,
    *,
    paths: tuple[Path, Path],
) -> ImageTriage:
    from napari_hemacells.core.classify.odd_ones import find_odd_ones

    stem, crops = paths
    annotations = request.annotations[key]
    saved, likeness = request.likeness.saved, None
    if saved is not None:
        likeness, _ = load_saved_likeness(saved, opened.embeddings.encoder)
    found = find_odd_ones(
        opened.embeddings, opened.prediction, request.head, model.support, likeness
    )
    free = ~np.isin(found.ids, list(annotations))
    return write_triage(
        stem.with_name(f"{stem.name}.triage.json"),
        crops,
        opened.image,
        opened.embeddings,
        cells=opened.cells,
        shown=shown_classes(opened.cells, annotations, opened.prediction, request.palette),
        prediction=opened.prediction,
        odd_ones=replace(found, is_odd=found.is_odd & free),
        model=model,
    )
