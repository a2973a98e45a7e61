"""Live few-shot classification as requests and answers, so that late answers can be dropped.

The support set joins the annotated cells of all images with those of a loaded model.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.encoder_names import DEFAULT
from napari_hemacells.core.params import ClassifyParams
from napari_hemacells.core.types import NOT_A_CELL_ID
from napari_hemacells.session.domain_shift import ShiftRequest, sample_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from napari_hemacells.core.classify import Head, Reference, SupportSet
    from napari_hemacells.core.encode.growing import GrowingEmbeddings
    from napari_hemacells.core.store import Bundle
    from napari_hemacells.core.types import (
        CellRef,
        Cells,
        CropSpec,
        Embeddings,
        EncoderInfo,
        Prediction,
    )
    from napari_hemacells.session.domain_shift import ShiftMeasurement


def gather_support(
    labels: Mapping[CellRef, str],
    images: Mapping[str, Embeddings],
    confirmed: Collection[CellRef] = (),
) -> SupportSet | None:
    """The annotated cells of all images that have embeddings; ``None`` where there are none.

    Parameters
    ----------
    labels
        Class id of each annotated cell.
    images
        Embeddings by image key; annotated cells of other images wait until theirs are there.
    confirmed
        Annotations that the user has confirmed.
    """
    from napari_hemacells.core.classify import SupportSet

    vectors: list[np.ndarray] = []
    classes: list[str] = []
    kinds: list[str] = []
    cells: list[CellRef] = []
    for key, embeddings in images.items():
        rows = embeddings.rows
        mine = [
            (ref, rows[ref.cell], class_id)
            for ref, class_id in labels.items()
            if ref.image_key == key and ref.cell in rows
        ]
        vectors.append(embeddings.vectors[[row for _, row, _ in mine]])
        classes.extend(class_id for _, _, class_id in mine)
        cells.extend(ref for ref, _, _ in mine)
        seen = embeddings.kinds
        kinds.extend("" if seen is None else str(seen[row]) for _, row, _ in mine)
    if not classes:
        return None
    return SupportSet(
        np.concatenate(vectors),
        tuple(classes),
        tuple(kinds),
        tuple(ref in confirmed for ref in cells),
        tuple(cells),
    )


def concatenate_support(known: SupportSet, clicked: SupportSet) -> SupportSet:
    """The support set of a loaded model, followed by the user's own annotated cells."""
    from napari_hemacells.core.classify import SupportSet

    return SupportSet(
        np.concatenate([known.vectors, clicked.vectors]),
        (*known.labels, *clicked.labels),
        (*(known.kinds or ("",) * len(known)), *(clicked.kinds or ("",) * len(clicked))),
        (*(False,) * len(known), *(clicked.confirmed or (False,) * len(clicked))),
        (*(None,) * len(known), *(clicked.cells or (None,) * len(clicked))),
    )


@dataclass(frozen=True, eq=False)
class ClassifyRequest:
    """Everything that one fit needs, frozen when it is requested.

    ``generation`` grows with every change of cells, annotations or classes; an answer to an older
    one is dropped by :meth:`LiveClassifier.accept`. With a ``support`` set the head is fitted
    anew; without one, the given ``head`` (of a loaded model) is used as it is. ``parents`` has the
    kind of each class that is within one. ``quick`` asks the same by the detector's vectors, for
    cells that the encoder has not looked at yet (:mod:`~.early_answers`). ``names`` are those of
    the classes by id. ``trained`` is the head of a fine-tuned model that is gone on from: what is
    unknown to its network is so whatever is annotated.
    """

    generation: int
    embeddings: Embeddings
    support: SupportSet | None
    class_ids: tuple[str, ...]
    head: Head | None = None
    params: ClassifyParams = field(default_factory=ClassifyParams)
    parents: Mapping[str, str] = field(default_factory=dict)
    quick: ClassifyRequest | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    trained: Head | None = None


@dataclass(frozen=True, eq=False)
class ClassifyResult:
    """The prediction for every cell of the image, and the head that made it.

    ``unlike`` are annotated cells that look unlike the others of their class.
    """

    generation: int
    prediction: Prediction
    head: Head
    unlike: tuple[CellRef, ...] = ()


def _as_its_network(head: Head, request: ClassifyRequest) -> Head:
    """Return the head with the fine-tuned network's own measure of unknown cells.

    Distances between its vectors say little (see :mod:`.trained_novelty`). Classes that it did
    not learn join by the mean of their annotated cells.
    """
    trained, support = request.trained, request.support
    if trained is None or trained.trained_novelty is None or support is None:
        return head
    labels = np.array(support.labels)
    new = ~np.isin(labels, trained.class_ids)
    _, targets = np.unique(labels[new], return_inverse=True)
    known = trained.trained_novelty.with_classes(support.vectors[new], targets)
    return replace(head, novelty=None, trained_novelty=known)


def run_classification(request: ClassifyRequest) -> ClassifyResult:
    """Answer a request; this touches no shared state, so it may run in any thread."""
    from napari_hemacells.core import classify

    head = request.head
    if request.support is not None:
        head = classify.fit_levels(
            request.support,
            request.class_ids,
            request.parents,
            context=request.embeddings.vectors,
            context_kinds=request.embeddings.kinds,
            names=request.names,
            params=request.params,
        )
        head = _as_its_network(head, request)
    if head is None:
        raise ValueError("a request needs annotated cells (support) or a fitted head")
    known = () if request.support is None else request.support.cells
    unlike = tuple(ref for at in head.unlike_others if known and (ref := known[at]) is not None)
    return ClassifyResult(request.generation, head.predict(request.embeddings), head, unlike)


class LiveClassifier:
    """Embeddings, loaded model and latest answer; recognises late answers."""

    def __init__(self) -> None:
        self.params = ClassifyParams()
        self.encoder = DEFAULT  # by name; a loaded model brings its own
        self.model: LoadedModel | None = None
        self.embeddings: Embeddings | None = None
        self.growing: GrowingEmbeddings | None = None  # while the cells are being embedded
        self.latest: ClassifyResult | None = None
        self.nearest = False
        self.confirmed: set[CellRef] = set()  # annotations that the user has said again
        self.measured: ShiftMeasurement | None = None
        self._raw: Embeddings | None = None
        self._debris: tuple[tuple[EncoderInfo, CropSpec], NDArray[np.float32]] | None = None
        self._generation = 0
        self._others: dict[str, Embeddings] = {}
        self._samples: dict[str, NDArray[np.float32]] = {}
        self._shift_references: dict[str, Reference] = {}  # of images that are re-standardised

    @property
    def prediction(self) -> Prediction | None:
        """Class probabilities of the cells shown."""
        return None if self.latest is None else self.latest.prediction

    @property
    def bundle(self) -> Bundle | None:
        """The loaded model as it was saved."""
        return None if self.model is None else self.model.bundle

    @property
    def generation(self) -> int:
        """Number of the present cells, annotations and classes."""
        return self._generation

    @property
    def others(self) -> Mapping[str, Embeddings]:
        """Embeddings of the annotated cells of other images; read only."""
        return self._others

    def invalidate(self) -> None:
        """Invalidate every answer that is still under way."""
        self._generation += 1

    def forget_cells(self) -> None:
        """Start anew with other cells."""
        self.embeddings = self._raw = self.latest = self.measured = self.growing = None
        self.invalidate()

    def keep_cells(self, cells: Cells, changed: Collection[int]) -> None:
        """Keep what is known of cells that are still there and did not change."""
        gone = np.asarray(list(changed), dtype=np.int64)
        if self.embeddings is not None and self._raw is not None:
            ids = self.embeddings.ids
            stays = np.isin(ids, cells.ids) & ~np.isin(ids, gone)
            same = self._raw is self.embeddings
            self._raw = _rows(self._raw, stays)
            self.embeddings = self._raw if same else _rows(self.embeddings, stays)
        if self.latest is not None:
            before = self.latest.prediction
            kept = before.of(np.isin(before.ids, cells.ids))
            self.latest = replace(self.latest, prediction=kept)
        self.invalidate()

    def forget_project(self) -> None:
        """Start anew with another set of images and classes."""
        self.forget_cells()
        self._others, self._samples, self._shift_references = {}, {}, {}
        self.model = None

    def use_model(self, model: LoadedModel) -> None:
        """Continue from a saved model; embeddings of another encoder or crop are dropped."""
        self.model, self.measured, self._shift_references = model, None, {}
        self.embeddings = self._raw
        here, made = self.embeddings, model.bundle
        if here is not None and (here.encoder.sha256, here.encoder.dim, here.spec) != (
            made.encoder.sha256,
            made.encoder.dim,
            made.spec,
        ):
            self.embeddings = self._raw = self.latest = None
        self.invalidate()

    def set_params(self, params: ClassifyParams) -> None:
        """Set the parameters; embeddings are dropped if features are switched on or off."""
        others = params.measured != self.params.measured
        self.params = params
        self._change_vectors(others=others)

    def set_encoder(self, name: str) -> None:
        """Set the encoder; embeddings of another one are dropped."""
        others = name != self.encoder
        self.encoder = name
        self._change_vectors(others=others)

    def _change_vectors(self, *, others: bool) -> None:
        """Drop outdated embeddings, and a head fitted on them; a loaded model's stay."""
        if others and self.model is None:
            self.latest, self.measured, self._shift_references = None, None, {}
            self.embeddings = self._raw = None
        self.invalidate()

    def drop_model(self) -> None:
        """Use the annotations alone; embeddings of the model's encoder are dropped."""
        self.model, self.latest, self.measured, self._shift_references = None, None, None, {}
        self.embeddings = self._raw = None
        self.invalidate()

    def put(self, embeddings: Embeddings, cells: Cells, image_key: str) -> bool:
        """Set the embeddings, unless they are late; return whether they belong to these cells."""
        if embeddings.image_key != image_key or not np.array_equal(embeddings.ids, cells.ids):
            return False
        self._raw, self.measured, self.growing = embeddings, None, None
        self._apply_shift()
        return True

    def remember(self, embeddings: Embeddings, annotated: Mapping[int, str]) -> None:
        """Keep the annotated cells of another image in the support set."""
        key, kept = embeddings.image_key, np.isin(embeddings.ids, list(annotated))
        self._others[key] = _rows(embeddings, kept)
        self._samples.pop(key, None)
        if kept.any():
            self._samples[key] = sample_rows(embeddings.vectors)

    def has_support_from(self, image_key: str, like: Embeddings) -> bool:
        """Whether this image has support cells embedded in the same way as these."""
        there = self._others.get(image_key)
        return there is not None and (there.encoder, there.spec) == (like.encoder, like.spec)

    def request(
        self,
        labels: Mapping[CellRef, str],
        class_ids: tuple[str, ...],
        parents: Mapping[str, str] | None = None,
    ) -> ClassifyRequest | None:
        """What to compute now; ``None`` while there is nothing to classify with.

        Parameters
        ----------
        parents
            The kind of each class that is within one.
        """
        if self.embeddings is None:
            return None
        support = self.support(labels)
        if support is None:
            return None
        head = None
        parents = dict(parents or {})
        model = self.model
        if model is not None and self.clicked(labels) is None and not model.regrouped(parents):
            head, support = model.head, None
        return ClassifyRequest(
            self._generation,
            self.embeddings,
            support,
            class_ids,
            head,
            self.params,
            parents,
            trained=None if model is None else model.head,
        )

    def support(self, labels: Mapping[CellRef, str]) -> SupportSet | None:
        """The support set: the cells of a loaded model, then the user's own."""
        clicked = self.clicked(labels)
        if self.model is None:
            return clicked
        return (
            self.model.support
            if clicked is None
            else concatenate_support(self.model.support, clicked)
        )

    def clicked(self, labels: Mapping[CellRef, str]) -> SupportSet | None:
        """The annotated cells of this image and of the remembered ones."""
        if self.model is not None:
            labels = self.model.new_labels(labels)
        images = self.images()
        clicked = gather_support(labels, images, self.confirmed) if images else None
        if clicked is None or NOT_A_CELL_ID not in clicked.labels:
            return clicked
        return self._with_remembered(clicked)

    def _with_remembered(self, clicked: SupportSet) -> SupportSet:
        """Return the support set with what was no cell in earlier projects."""
        from napari_hemacells.core.classify import SupportSet
        from napari_hemacells.core.store.not_a_cell_memory import teaching

        here = self.embeddings
        if here is None:
            return clicked
        if self._debris is None or self._debris[0] != (here.encoder, here.spec):
            self._debris = ((here.encoder, here.spec), teaching(here.encoder, here.spec))
        vectors = self._debris[1]
        if not len(vectors):
            return clicked
        known = SupportSet(vectors, (NOT_A_CELL_ID,) * len(vectors))
        return concatenate_support(known, clicked)

    def images(self) -> dict[str, Embeddings]:
        """Embeddings of the image shown, and of the annotated cells of the remembered images."""
        here = self.embeddings
        if here is None:
            return {}
        images = {
            key: there for key, there in self._others.items() if self.has_support_from(key, here)
        }
        return {**images, here.image_key: here}

    def accept(self, result: ClassifyResult) -> bool:
        """Accept an answer and return whether it is current; a late one changes nothing."""
        if result.generation != self._generation:
            return False
        self.latest = replace(result, prediction=self._with_display_settings(result.prediction))
        return True

    # --- unknown cells, other slides -----------------------------------------------------------

    def show_nearest(self, *, nearest: bool) -> None:
        """Show unknown cells in their nearest class, or as unknown."""
        self.nearest = nearest
        if self.latest is not None:
            self.latest = replace(
                self.latest, prediction=self._with_display_settings(self.latest.prediction)
            )

    def _with_display_settings(self, prediction: Prediction) -> Prediction:
        return replace(prediction, nearest=self.nearest, restandardised=self.restandardised)

    def shift_request(self) -> ShiftRequest | None:
        """The comparison to make; ``None`` where its result is known or there is no reference."""
        here = self._raw
        if here is None or self.measured is not None:
            return None
        if self.model is not None:
            return ShiftRequest(here, self.model.head)
        keys = [
            key
            for key in self._samples
            if key != here.image_key and self.has_support_from(key, here)
        ]
        return (
            ShiftRequest(here, None, tuple(self._samples[key] for key in keys)) if keys else None
        )

    def accept_shift(self, measurement: ShiftMeasurement | None) -> bool:
        """Accept a domain shift and return whether it concerns the cells shown now."""
        if measurement is None or measurement.embeddings is not self._raw:
            return False
        self.measured = measurement
        return True

    @property
    def restandardised(self) -> bool:
        """Whether the image's embeddings are re-standardised onto the classifier's reference."""
        return self._raw is not None and self._raw.image_key in self._shift_references

    @property
    def shift_references(self) -> dict[str, Reference]:
        """Onto what each image's embeddings are moved, by image key; a copy."""
        return dict(self._shift_references)

    def restandardise(self, *, moved: bool) -> None:
        """Re-standardise the image's embeddings onto the measured reference, or undo that."""
        if self._raw is None or self.measured is None:
            return
        self._shift_references.pop(self._raw.image_key, None)
        if moved:
            self._shift_references[self._raw.image_key] = self.measured.reference
        self._apply_shift()

    def _apply_shift(self) -> None:
        here = self._raw
        reference = None if here is None else self._shift_references.get(here.image_key)
        if here is not None and reference is not None:
            from napari_hemacells.core.classify import restandardise

            here = restandardise(here, reference)
        self.embeddings = here
        self.invalidate()


def _rows(embeddings: Embeddings, kept: NDArray[np.bool_]) -> Embeddings:
    return embeddings.of(kept)


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A bundle ready for use: its head and its support set, under the session's class ids.

    Attributes
    ----------
    learned
        Cells of this project that it was fine-tuned or validated on, and their class then. Such
        a cell adds nothing to the support set as long as it keeps that class.
    parents
        The kind of each class that was within one.
    """

    bundle: Bundle
    head: Head
    support: SupportSet
    learned: Mapping[CellRef, str] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)

    def regrouped(self, parents: Mapping[str, str]) -> bool:
        """Whether its classes have other kinds in the project than they had when it was made."""
        return any(
            parents.get(class_id) != self.parents.get(class_id)
            for class_id in set(self.support.labels)
        )

    def new_labels(self, labels: Mapping[CellRef, str]) -> Mapping[CellRef, str]:
        """Return the annotations that the model has not learned: of new cells or classes."""
        if not self.learned:
            return labels
        return {
            ref: class_id for ref, class_id in labels.items() if self.learned.get(ref) != class_id
        }
