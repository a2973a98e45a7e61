"""Kind first, then within it: a head over the kinds, and one within each that has classes.

The probability of a class is that of its kind times that of the class within the kind. The answer
is the most probable kind, then the most probable class there. With few clicks the head within a
kind learns from the cells of that kind alone; with more, it is the part for these classes of a
head over all classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.classify.calibration import too_few_for_percentages
from napari_hemacells.core.classify.fit import SupportSet, fit
from napari_hemacells.core.classify.head import Head
from napari_hemacells.core.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.types import Embeddings, Prediction

TWO_LEVELS = "two levels"
# Cells of the image whose kind is looked at, and those of one kind that help to tell its classes.
MOST_AROUND, MOST_BESIDE = 2000, 250
# Clicks a class below which a kind has a head of its own cells. With more, what other kinds say
# helps to tell its classes: on PBC 0.01 at twenty clicks (benchmarks/two_levels.py).
FEW_CLICKS = 10
LEAST = 1e-12  # of a probability, so that it has a logarithm
_OVER, _WITHIN = "kinds.", "within."


@dataclass(frozen=True, eq=False)
class HierarchicalHead(Head):
    """Class probabilities of two levels.

    Its classes are the kinds that have no head of their own, and the classes within those that
    have one. What is unknown, how the cells differ from those it learned from, and how far a
    confidence can be trusted, is told by the head over the kinds.

    Attributes
    ----------
    kinds
        ``(k,)`` the kind of each class of ``class_ids``.
    over
        The head over the kinds.
    within
        The head within each kind that has two annotated classes or more, by kind.
    taught
        Number of annotated cells of each class, those of a kind alone included.
    """

    kinds: tuple[str, ...] = ()
    over: Head | None = None
    within: Mapping[str, Head] = field(default_factory=dict)
    taught: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Short description for the report."""
        total = sum(self.taught.values())
        parts = "1 kind" if len(self.within) == 1 else f"{len(self.within)} kinds"
        return f"kind first, then within {parts}, {total} annotated cells"

    def predict(self, embeddings: Embeddings) -> Prediction:
        """Class probabilities of every cell, its kind first, and which cells are unknown.

        Raises
        ------
        BundleMismatchError
            If the embeddings have another dimension than the head.
        """
        kinds = self._over.predict(embeddings)
        chances = self._chances(embeddings, kinds.probabilities)
        return replace(
            kinds,
            class_ids=self.class_ids,
            probabilities=chances,
            kinds=self.kinds,
            head=self.name,
            too_few=too_few_for_percentages(self.counts),
        )

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(n, k)`` logarithms of the class probabilities of ``(n, dim)`` vectors.

        Raises
        ------
        BundleMismatchError
            If the vectors have another dimension than the head.
        """
        from napari_hemacells.core.classify.calibration import softmax

        over = self._over
        shares = {kind: softmax(head.scores(vectors), head.slope)
                  for kind, head in self.within.items()}  # fmt: skip
        kinds = softmax(over.scores(vectors), over.slope)
        return np.log(np.maximum(self._join(kinds, shares), LEAST))

    @property
    def _over(self) -> Head:
        if self.over is None:
            raise ValueError("a head of two levels needs one over the kinds")
        return self.over

    def _chances(self, embeddings: Embeddings, kinds: NDArray[np.float32]) -> NDArray[np.float32]:
        shares = {
            kind: head.predict(embeddings).probabilities for kind, head in self.within.items()
        }
        return self._join(kinds, shares)

    def _join(
        self, kinds: NDArray[np.float32], shares: Mapping[str, NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """``(n, k)`` product of the probabilities of both levels."""
        columns = []
        over = self._over.class_ids
        for class_id, kind in zip(self.class_ids, self.kinds, strict=True):
            column = kinds[:, over.index(kind)]
            if kind in shares:
                column = column * shares[kind][:, self.within[kind].class_ids.index(class_id)]
            columns.append(column)
        return np.stack(columns, axis=1).astype(np.float32)

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the arrays of all heads, and the rest as plain JSON."""
        tensors, over = self._over.to_tensors()
        tensors = {f"{_OVER}{name}": values for name, values in tensors.items()}
        meta: dict[str, Any] = {
            "kind": TWO_LEVELS,
            "name": self.name,
            "class_ids": list(self.class_ids),
            "kinds": list(self.kinds),
            "taught": dict(self.taught),
            "over": over,
            "within": [],
        }
        for number, (kind, head) in enumerate(self.within.items()):
            own, rest = head.to_tensors()
            tensors |= {f"{_WITHIN}{number}.{name}": values for name, values in own.items()}
            meta["within"].append({"of": kind, "head": rest})
        return tensors, meta


def fit_levels(
    support: SupportSet,
    class_ids: Sequence[str],
    parents: Mapping[str, str],
    **options: Any,
) -> Head:
    """Fit a head on annotated cells, of two levels where that makes a difference.

    Where no annotated class is within a kind, this is :func:`fit`. A cell that was given a kind
    alone teaches the kind; so does the only class within a kind that has annotations.

    Parameters
    ----------
    support, class_ids
        As of :func:`fit`.
    parents
        The kind of each class that is within one, both by id.
    options
        The other parameters of :func:`fit`.

    Raises
    ------
    AnnotationError
        As :func:`fit`.
    """
    if not set(support.labels).intersection(parents):
        return fit(support, class_ids, **options)
    kinds = [class_id for class_id in class_ids if class_id not in parents]
    of_kind = tuple(parents.get(label, label) for label in support.labels)
    over = fit(replace(support, labels=of_kind), kinds, **options)
    children = {
        kind: [
            inner_id
            for inner_id in class_ids
            if parents.get(inner_id) == kind and inner_id in support.labels
        ]
        for kind in over.class_ids
    }
    several = {kind: inside for kind, inside in children.items() if len(inside) > 1}
    counts = {class_id: support.labels.count(class_id) for class_id in class_ids}
    few = {
        kind: inside
        for kind, inside in several.items()
        if sum(counts[inner_id] for inner_id in inside) < FEW_CLICKS * len(inside)
    }
    within = _alone(support, over, few, options) if few else {}
    if len(few) < len(several):
        flat = _of_one_level(support, class_ids, parents, several, options)
        others = {kind: inside for kind, inside in several.items() if kind not in few}
        within |= {kind: restricted(flat, inside) for kind, inside in others.items()}
    return _joined(over, within, counts)


def _alone(
    support: SupportSet, over: Head, kinds: Mapping[str, Sequence[str]], options: Mapping[str, Any]
) -> dict[str, Head]:
    """Return a head within each kind, fitted on its own annotated cells alone.

    Only cells of the image that look like the kind help: those of others would teach as well.
    """
    context = options.get("context")
    around = None if context is None else context[:: -(-len(context) // MOST_AROUND) or 1]
    kinds_around = None if around is None else over.scores(around).argmax(axis=1)
    plain = {name: value for name, value in options.items() if name == "params"}
    within = {}
    for kind, inside in kinds.items():
        beside = None
        if around is not None and kinds_around is not None:
            beside = around[kinds_around == over.class_ids.index(kind)]
            beside = beside[:: -(-len(beside) // MOST_BESIDE) or 1]
        rows = [row for row, label in enumerate(support.labels) if label in inside]
        within[kind] = fit(_some(support, rows), inside, context=beside, **plain)
    return within


def _of_one_level(
    support: SupportSet,
    class_ids: Sequence[str],
    parents: Mapping[str, str],
    several: Mapping[str, Sequence[str]],
    options: Mapping[str, Any],
) -> Head:
    """Return a head of one level: a kind that is not told within is one class."""
    labels = [
        label if parents.get(label) in several else parents.get(label, label)
        for label in support.labels
    ]
    rows = [row for row, label in enumerate(labels) if label not in several]
    chosen = replace(_some(support, rows), labels=tuple(labels[row] for row in rows))
    return fit(chosen, class_ids, **options)


def _some(support: SupportSet, rows: Sequence[int]) -> SupportSet:
    return SupportSet(support.vectors[rows], tuple(support.labels[row] for row in rows))


def restricted(head: Head, class_ids: Sequence[str]) -> Head:
    """Return a head that chooses among some of its classes, with the scores that they had."""
    columns = [column for column, class_id in enumerate(head.class_ids) if class_id in class_ids]
    owners, kept = head.owners, columns
    if head.kind == "knn":
        rows = np.flatnonzero(np.isin(head.owners, columns))
        owners = np.searchsorted(columns, head.owners[rows])
        kept = rows.tolist()
    return replace(
        head,
        class_ids=tuple(head.class_ids[column] for column in columns),
        counts=tuple(head.counts[column] for column in columns),
        weights=head.weights[:, kept],
        bias=head.bias[kept],
        owners=owners,
        novelty=None,
        trained_novelty=None,
        reference=None,
    )


def _joined(over: Head, within: Mapping[str, Head], taught: Mapping[str, int]) -> Head:
    columns = [
        (class_id, kind, count)
        for kind, of_kind in zip(over.class_ids, over.counts, strict=True)
        for class_id, count in (
            zip(within[kind].class_ids, within[kind].counts, strict=True)
            if kind in within
            else [(kind, of_kind)]
        )
    ]
    ids, kinds, counts = (tuple(part) for part in zip(*columns, strict=True))
    own = {part.name: getattr(over, part.name) for part in fields(Head)}
    own |= {"kind": TWO_LEVELS, "class_ids": ids, "counts": counts, "slope": 1.0}
    annotated = {class_id: count for class_id, count in taught.items() if count}
    return HierarchicalHead(**own, kinds=kinds, over=over, within=within, taught=annotated)


def taught_counts(head: Head) -> dict[str, int]:
    """Return the number of annotated cells of each class that a head was fitted on."""
    if isinstance(head, HierarchicalHead):
        return dict(head.taught)
    return dict(zip(head.class_ids, head.counts, strict=True))


def taught_columns(head: Head, labels: Sequence[str]) -> NDArray[np.intp]:
    """``(m,)`` the column of each annotated cell's class; -1 where its class has none."""
    columns = {class_id: column for column, class_id in enumerate(head.class_ids)}
    return np.array([columns.get(label, -1) for label in labels], dtype=np.intp)


def renamed(head: Head, ids: Mapping[str, str]) -> Head:
    """Return the head with other class ids; those that `ids` does not name stay."""
    own = tuple(ids.get(class_id, class_id) for class_id in head.class_ids)
    if not isinstance(head, HierarchicalHead) or head.over is None:
        return replace(head, class_ids=own)
    return replace(
        head,
        class_ids=own,
        kinds=tuple(ids.get(kind, kind) for kind in head.kinds),
        over=renamed(head.over, ids),
        within={ids.get(kind, kind): renamed(inner, ids) for kind, inner in head.within.items()},
        taught={ids.get(class_id, class_id): count for class_id, count in head.taught.items()},
    )


def read_head(tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Head:
    """Return the head stored in these arrays and this JSON, of one level or of two.

    Raises
    ------
    BundleError
        If something is missing or inconsistent.
    """
    if meta.get("kind") != TWO_LEVELS:
        return Head.from_tensors(tensors, meta)
    try:
        over = Head.from_tensors(_part(tensors, _OVER), meta["over"])
        within = {
            str(entry["of"]): Head.from_tensors(
                _part(tensors, f"{_WITHIN}{number}."), entry["head"]
            )
            for number, entry in enumerate(meta["within"])
        }
        taught = {str(class_id): int(count) for class_id, count in meta["taught"].items()}
        head = _joined(over, within, taught)
        fits = (
            isinstance(head, HierarchicalHead)
            and list(head.class_ids) == list(meta["class_ids"])
            and list(head.kinds) == list(meta["kinds"])
            and set(within) <= set(over.class_ids)
            and all(len(inner.centre) == len(over.centre) for inner in within.values())
        )
    except BundleError:
        raise
    except Exception as error:  # values of any other kind
        raise BundleError(f"The model's head is incomplete or damaged ({error!r}).") from error
    if not fits:
        raise BundleError("The model's head is damaged: its two levels do not fit each other.")
    return head


def _part(tensors: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {
        name.removeprefix(prefix): values
        for name, values in tensors.items()
        if name.startswith(prefix)
    }
