"""Likeness of cells: what was learned of it, two cells compared, and all cells ordered by it.

Everything is a request, frozen when it is asked for, so that it may be answered in any thread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_hemacells.core import annotate
from napari_hemacells.core.errors import (
    AnnotationError,
    BundleError,
    EncoderError,
    ProjectError,
)
from napari_hemacells.core.train.siamese.likeness_store import likeness_for, read_likeness
from napari_hemacells.core.types import CellRef, Embeddings, Progress
from napari_hemacells.session.annotating import NOT_EMBEDDED
from napari_hemacells.session.cached_embeddings import cell_embeddings, picture_embeddings

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.annotate.cell_edits import Corrections
    from napari_hemacells.core.classify import Reference, SupportSet
    from napari_hemacells.core.classify.likeness_words import Verdict
    from napari_hemacells.core.classify.similarity import LikenessIndex
    from napari_hemacells.core.classify.verification import Likeness
    from napari_hemacells.core.store import Project
    from napari_hemacells.core.store.schema import StoredImage
    from napari_hemacells.core.types import EncoderInfo
    from napari_hemacells.session.session import Session


@dataclass(frozen=True, eq=False)
class LikenessRequest:
    """What a likeness is learned from, and the embeddings it is for.

    Attributes
    ----------
    support, names
        The annotated cells, and the names of their classes.
    saved
        Folder of a learned likeness that is used instead of these; ``None`` for none.
    """

    embeddings: Embeddings
    support: SupportSet | None
    names: Mapping[str, str]
    saved: Path | None = None

    def has_inputs_of(self, other: LikenessRequest) -> bool:
        """Whether the other request would be answered alike."""
        mine, theirs = self.support, other.support
        if (
            self.saved != other.saved
            or self.embeddings.encoder != other.embeddings.encoder
            or self.names != other.names
        ):
            return False
        if mine is None or theirs is None:
            return mine is theirs
        return mine.labels == theirs.labels and np.array_equal(mine.vectors, theirs.vectors)


def request_likeness(session: Session) -> LikenessRequest | None:
    """Return what a likeness is learned from; ``None`` before the cells are embedded."""
    if session.embeddings is None or session.history is None:
        return None
    names = {cell_class.id: cell_class.name for cell_class in session.palette}
    saved = None if session.project is None else session.project.likeness
    return LikenessRequest(session.embeddings, session.support(), names, saved)


def learn_likeness(request: LikenessRequest) -> Likeness:
    """Return the distance between cells: the saved one, or learned from the annotated cells.

    A saved one that cannot be used here is passed over, and what the other says of itself begins
    with that.
    """
    from napari_hemacells.core.classify.verification import default_likeness, fit_likeness

    encoder, saved, warning = request.embeddings.encoder, None, ""
    if request.saved is not None:
        saved, warning = load_saved_likeness(request.saved, encoder)
    if saved is not None:
        return saved
    if request.support is None:
        learned = default_likeness(encoder)
    else:
        labels = [request.names.get(label, label) for label in request.support.labels]
        learned = fit_likeness(request.support.vectors, labels, encoder=encoder)
    return replace(learned, learned_from=f"{warning}{learned.learned_from}")


def load_saved_likeness(folder: Path, encoder: EncoderInfo) -> tuple[Likeness | None, str]:
    """Return a saved likeness, or none and why it cannot be used with this encoder's vectors."""
    try:
        likeness = likeness_for(read_likeness(folder), encoder)
    except (BundleError, EncoderError):
        return None, "The chosen likeness is missing or damaged, choose it again. Instead: "
    if likeness is None:
        return None, "The chosen likeness is of another encoder than the one in use. Instead: "
    return likeness, ""


class PickedCell(NamedTuple):
    """A cell that was picked for comparing, with what is needed after its image was left.

    Attributes
    ----------
    ref
        Which cell it is.
    title
        The cell and its image in words.
    class_name
        Its class in words, with who gave it.
    vector
        ``(dim,)`` its embedding.
    encoder
        Fingerprint of the encoder and the crop that the vector is of.
    crop
        ``(size, size, 3)`` uint8.
    """

    ref: CellRef
    title: str
    class_name: str
    vector: NDArray[np.float32]
    encoder: str
    crop: NDArray[np.uint8]


def pick_cell(session: Session, cell: int) -> PickedCell:
    """Return a cell of the open image, picked for comparing.

    Raises
    ------
    AnnotationError
        It is not embedded yet.
    """
    from napari_hemacells.core.crop import extract_crops, to_bytes
    from napari_hemacells.core.encode.protocol import fingerprint

    image, cells, embeddings = session.image, session.cells, session.embeddings
    if image is None or cells is None or embeddings is None or cell not in embeddings.rows:
        raise AnnotationError(NOT_EMBEDDED)
    (crop,) = to_bytes(extract_crops(image, cells, embeddings.spec, [cell]))
    return PickedCell(
        CellRef(image.key, cell),
        f"Cell {cell}, {image.name}",
        class_in_words(session, cell),
        embeddings.vectors[embeddings.rows[cell]],
        f"{fingerprint(embeddings.encoder)} {embeddings.spec}",
        crop,
    )


def class_in_words(session: Session, cell: int) -> str:
    """Return the class of a cell of the open image and who gave it."""
    annotated, prediction = session.annotated.get(cell), session.prediction
    if annotated is not None:
        return f"{session.palette.by_id(annotated).name} (yours)"
    rows = [] if prediction is None else np.flatnonzero(prediction.ids == cell).tolist()
    if prediction is None or not rows:
        return "no class yet"
    nearest = session.palette.by_id(prediction.class_ids[prediction.predicted_column[rows[0]]])
    if prediction.verdict[rows[0]]:
        return f"unknown, nearest {nearest.name}"
    return f"{nearest.name} (predicted)"


class CellComparison(NamedTuple):
    """What is said of two cells.

    Attributes
    ----------
    verdict
        Same kind or not, and how sure.
    basis
        On what the threshold rests, in words.
    """

    verdict: Verdict
    basis: str


def compare_cells(likeness: Likeness, first: PickedCell, second: PickedCell) -> CellComparison:
    """Return how far two cells are apart, and whether they are of the same kind.

    Raises
    ------
    AnnotationError
        They were embedded by different encoders.
    """
    from napari_hemacells.core.classify.likeness_words import NO_PERCENTAGE, judge

    if first.encoder != second.encoder:
        raise AnnotationError(
            "These two cells were embedded by different encoders: pick the first one again."
        )
    distances = likeness.distances(first.vector[np.newaxis], second.vector[np.newaxis])
    verdict = judge(likeness, float(distances[0, 0]))
    measured = len(likeness.curve.thresholds) > 0  # else it says what to annotate first
    unsure = f" {NO_PERCENTAGE}" if verdict.p_same is None and measured else ""
    return CellComparison(verdict, f"{likeness.learned_from}{unsure}")


@dataclass(frozen=True, eq=False)
class IndexRequest:
    """The cells that are ordered by likeness: of the open image, or of the whole project.

    Attributes
    ----------
    here
        Embeddings of the open image, as they are classified.
    project
        ``None`` for the open image alone.
    corrections
        Corrected cells of each image.
    references
        Images whose embeddings are re-standardised, as :class:`~.live_classifier.LiveClassifier`
        has them.
    saved
        Folder of a learned likeness whose distance orders them; ``None`` for the embeddings'.
    """

    here: Embeddings
    project: Project | None = None
    corrections: Mapping[str, Corrections] | None = None
    references: Mapping[str, Reference] | None = None
    saved: Path | None = None

    def has_cells_of(self, other: IndexRequest, known: ProjectIndex) -> bool:
        """Whether the answer to another request has all cells of this one."""
        if (self.project is None) != (other.project is None) or self.saved != other.saved:
            return False
        if self.project is None:
            return self.here is other.here
        same = (self.here.encoder, self.here.spec, self.project.folder, self.corrections) == (
            other.here.encoder,
            other.here.spec,
            None if other.project is None else other.project.folder,
            other.corrections,
        )
        moved = self.references or {}, other.references or {}
        same = same and moved[0].keys() == moved[1].keys()
        return same and np.array_equal(known.cells.ids_of(self.here.image_key), self.here.ids)


class ProjectIndex(NamedTuple):
    """All cells in one index, and of how many images of the project some are missing in it."""

    cells: LikenessIndex
    waiting: int


def request_index(session: Session, *, whole_project: bool) -> IndexRequest | None:
    """Return what an index is made of; ``None`` before the cells are embedded."""
    here, project, history = session.embeddings, session.project, session.history
    if here is None or project is None or history is None:
        return None
    saved = project.likeness
    if not whole_project:
        return IndexRequest(here, saved=saved)
    keys = [entry.key for entry in project.images]
    corrections = {key: history.state.corrections_of(key) for key in keys}
    references = session.live.shift_references
    return IndexRequest(here, project, corrections, references, saved)


def index_steps(request: IndexRequest) -> Generator[Progress, None, ProjectIndex]:
    """Return the index of all cells that have embeddings; yield after each image.

    Those of other images are read from the project's cache; nothing is embedded.
    """
    from napari_hemacells.core.classify.similarity import make_index

    parts, waiting = [request.here], 0
    stored = () if request.project is None else request.project.images
    for number, entry in enumerate(stored):
        yield Progress(number, len(stored), "Reading the project's cells")
        if entry.key == request.here.image_key:
            continue
        cached, complete = cached_embeddings(request, entry)
        waiting += not complete
        if cached is not None and len(cached):
            parts.append(cached)
    yield Progress(len(stored), len(stored), "Ordering cells by likeness")
    likeness = None
    if request.saved is not None:
        likeness, _ = load_saved_likeness(request.saved, request.here.encoder)
    return ProjectIndex(make_index(parts, likeness), waiting)


def cached_embeddings(request: IndexRequest, entry: StoredImage) -> tuple[Embeddings | None, bool]:
    """Return the cached embeddings of an image, and whether all of its cells are among them."""
    from napari_hemacells.core.classify import restandardise

    project, like = request.project, request.here
    if project is None or not project.has_cells(entry.key):
        return None, False
    try:
        if entry.kind == "pictures":
            cached, complete = picture_embeddings(project, entry.key, like)
        else:
            saved = project.load_cells(entry.key)
            corrections = (request.corrections or {}).get(entry.key)
            cells = (
                saved if corrections is None else annotate.apply_corrections(saved, corrections)
            )
            cached, complete = cell_embeddings(project, entry.key, like, cells)
    except ProjectError:  # damaged or moved; told when the image is opened
        return None, False
    reference = (request.references or {}).get(entry.key)
    return (cached if reference is None else restandardise(cached, reference)), complete


class LikeThis(NamedTuple):
    """Cells ordered by likeness: the picked ones first.

    Attributes
    ----------
    picked
        The cells that the others are held against.
    cells
        The index that they are of.
    order
        ``(n,)`` its rows in order.
    waiting
        Images whose cells are not all embedded yet.
    """

    picked: tuple[CellRef, ...]
    cells: LikenessIndex
    order: NDArray[np.intp]
    waiting: int

    def refs(self, first: int = 0, last: int | None = None) -> list[CellRef]:
        """Return the cells of these places in the order."""
        return self.cells.refs(self.order[first:last])


def order_cells(known: ProjectIndex, picked: Sequence[CellRef]) -> LikeThis:
    """Return all cells of an index in the order of their likeness to these.

    Raises
    ------
    AnnotationError
        None of them is in the index.
    """
    rows = [row for ref in picked if (row := known.cells.row_of(ref)) is not None]
    if not rows:
        raise AnnotationError(NOT_EMBEDDED)
    order, _ = known.cells.order(rows)
    return LikeThis(tuple(picked), known.cells, order, known.waiting)
