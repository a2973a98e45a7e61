"""Two journals of one project made one: nobody's annotations are lost.

What both begin with is taken once. Then comes what the other one goes on with, then what was done
here; where both speak of one cell, the word given here is the later one and counts. Classes of one
name are one class. A step of ours that does not fit any more (its
class or its cell is gone there) is left out and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.annotate.actions import AddClass, SetPalette, from_record, to_record
from napari_hemacells.core.annotate.palette import WITHIN
from napari_hemacells.core.annotate.state import AnnotationState
from napari_hemacells.core.errors import AnnotationError, ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_hemacells.core.annotate.actions import Action


CLASS_IDS = frozenset({"class_id", "parent", "parent_id"})  # fields that hold one


@dataclass(frozen=True)
class MergedJournal:
    """What two journals are together.

    Attributes
    ----------
    records
        All of them, in order; they can be replayed.
    state
        What they lead to.
    left_out
        Steps of ours that do not fit any more.
    foreign
        Whether the other one holds steps that ours does not.
    """

    records: list[dict[str, Any]]
    state: AnnotationState
    left_out: int
    foreign: bool


def merge_journals(
    theirs: Sequence[dict[str, Any]], ours: Sequence[dict[str, Any]], annotator: str = ""
) -> MergedJournal:
    """Return both journals as one.

    Raises
    ------
    ProjectError
        Where a record of theirs cannot be read, or does not fit the ones before it.
    """
    common = 0
    while common < min(len(theirs), len(ours)) and theirs[common] == ours[common]:
        common += 1
    state = AnnotationState(annotator=annotator)
    try:
        for record in theirs:
            from_record(record).apply(state)
    except AnnotationError as error:
        raise ProjectError(f"A step of the journal does not fit the others: {error}") from error
    records, left_out = list(theirs), 0
    foreign = common < len(theirs)
    same_class: dict[str, str] = {}  # our id of a class → theirs
    for record in ours[common:]:
        action = from_record(_renamed(record, same_class))
        for step in _without_harm(action, state, same_class) if foreign else [action]:
            try:
                step.apply(state)
            except AnnotationError:
                left_out += 1
            else:
                records.append(to_record(step))
    return MergedJournal(records, state, left_out, foreign)


def _renamed(value: Any, same_class: dict[str, str]) -> Any:
    """Return a record in which each class has the id that it has in their journal."""
    if isinstance(value, list):
        return [_renamed(part, same_class) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        key: same_class.get(part, part)
        if key in CLASS_IDS and isinstance(part, str)
        else [same_class.get(one, one) for one in part]
        if key == "within"
        else _renamed(part, same_class)
        for key, part in value.items()
    }


def _without_harm(
    action: Action, state: AnnotationState, same_class: dict[str, str]
) -> Iterator[Action]:
    """A palette of ours takes no class of theirs away: it adds those that they do not have."""
    if not isinstance(action, SetPalette | AddClass):
        yield action
        return
    added = action.palette if isinstance(action, SetPalette) else (action.cell_class,)
    for cell_class in added:
        parent, name = cell_class.parent, cell_class.name
        if parent is not None:
            parent = same_class.get(parent, parent)
            parent = parent if parent in state.palette else None
            name = cell_class.own_name
        full = name if parent is None else f"{state.palette.by_id(parent).name}{WITHIN}{name}"
        there = state.palette.by_name(full)
        if there is not None and there.id != cell_class.id:
            same_class[cell_class.id] = there.id
        elif cell_class.id not in state.palette:
            new = state.palette.new_class(name, class_id=cell_class.id, parent=parent)
            yield AddClass(new)
