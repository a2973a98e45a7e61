"""Undo and redo of annotation actions; each step is on disk before it is visible."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.annotate.actions import SetPalette, from_record, to_record
from napari_hemacells.core.annotate.journal import Journal
from napari_hemacells.core.annotate.merge import MergedJournal, merge_journals
from napari_hemacells.core.annotate.palette import Palette, default_palette
from napari_hemacells.core.annotate.state import AnnotationState
from napari_hemacells.core.errors import AnnotationError, ProjectError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_hemacells.core.annotate.actions import Action


class History:
    """Applies actions to a state: checks, writes to the journal, then changes the state.

    The journal is append-only and holds the applied actions; an undo appends the inverse. If
    :meth:`do`, :meth:`undo` or :meth:`redo` raise, state and history are unchanged.

    Parameters
    ----------
    state
        Changed in place, by this history only.
    journal
        Where every step is written before it is applied; ``None`` keeps nothing on disk.

    Attributes
    ----------
    changes
        How often the state was changed; what is derived from it is valid until that grows.
    notices
        Sentences about what happened to the journal, for the user to read.
    """

    def __init__(self, state: AnnotationState, journal: Journal | None = None) -> None:
        self.state = state
        self.journal = journal
        self.changes = 0
        self.notices: list[str] = []
        self._done: list[tuple[Action, Action]] = []
        self._undone: list[tuple[Action, Action]] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to redo."""
        return bool(self._undone)

    def do(self, action: Action) -> Action:
        """Apply an action and return it; undone steps can no longer be redone.

        Raises
        ------
        AnnotationError
            If the action does not fit the state.
        StorageError
            If the journal cannot be written.
        """
        self.rejoin()
        action.check(self.state)
        inverse = action.inverse(self.state)
        self._commit(action)
        self._done.append((action, inverse))
        self._undone.clear()
        return action

    def undo(self) -> Action | None:
        """Take the last step back; the inverse that was applied, ``None`` if there was none."""
        self.rejoin()
        if not self._done:
            return None
        _, inverse = self._done[-1]
        self._commit(inverse)
        self._undone.append(self._done.pop())
        return inverse

    def redo(self) -> Action | None:
        """Do the last undone step again; the action that was applied, ``None`` if none was."""
        self.rejoin()
        if not self._undone:
            return None
        action, _ = self._undone[-1]
        self._commit(action)
        self._done.append(self._undone.pop())
        return action

    def rejoin(self) -> bool:
        """Write the journal anew where another program deleted or replaced it meanwhile.

        What lies in its place is taken in, and whether that changed the state is returned; then
        the steps that could be undone are forgotten.

        Raises
        ------
        StorageError
            Where it cannot be written; nothing has changed then.
        """
        if self.journal is None or not self.journal.replaced():
            return False
        name = self.journal.path.name
        ours, theirs = self.journal.written(), self.journal.others()
        try:
            merged = merge_journals(theirs or (), ours, self.state.annotator)
        except ProjectError:
            merged, theirs = merge_journals((), ours, self.state.annotator), None
        kept = []
        if theirs is None:
            kept.append(self.journal.keep_others())
        if merged.left_out:
            kept.append(self.journal.keep_own())
        self.journal.write_anew(merged.records)
        self.notices.append(_rejoined(name, merged, [file for file in kept if file is not None]))
        if not merged.foreign:
            return False
        self.state.palette = merged.state.palette
        self.state.by_annotator = merged.state.by_annotator
        self.state.corrections = merged.state.corrections
        self.changes += 1
        self._done.clear()
        self._undone.clear()
        return True

    def close(self) -> None:
        """Let go of the journal; it is written anew first if another program took it away."""
        if self.journal is not None:
            with suppress(StorageError):  # the folder is gone: moved, or deleted on purpose
                self.rejoin()
            self.journal.close()

    def _commit(self, action: Action) -> None:
        action.check(self.state)
        if self.journal is not None:
            self.journal.append(to_record(action))
        self.changes += 1
        action.apply(self.state)


def _rejoined(name: str, merged: MergedJournal, kept: list[Path]) -> str:
    """Return what to tell the user of a journal that was written anew."""
    if not merged.foreign:
        event = (
            f"“{name}” was deleted or replaced by another program, perhaps a backup or a sync "
            "tool. It was written anew: none of your annotations is lost."
        )
        also = "What lay in its place"
    else:
        event = (
            f"“{name}” was replaced by another program and holds annotations that were not made "
            "here. Both were joined: where they differ, yours count."
        )
        if merged.left_out:
            event += f" {merged.left_out} of your steps did not fit and were left out."
        also = "Your own journal"
    return f"{event} {also} is kept as “{kept[-1].name}”." if kept else event


def replay(records: Iterable[dict[str, Any]], annotator: str = "") -> AnnotationState:
    """Replay journal records and return the resulting state, viewed as ``annotator``.

    Raises
    ------
    ProjectError
        For a record that cannot be read or does not fit what came before it.
    """
    state = AnnotationState(annotator=annotator)
    for number, record in enumerate(records, start=1):
        try:
            from_record(record).apply(state)
        except AnnotationError as error:
            raise ProjectError(
                f"Record {number} of the journal does not fit the ones before it ({error}) "
                "Nothing was changed: restore the project folder from a copy."
            ) from error
    return state


def open_history(path: Path, annotator: str, palette: Palette | None = None) -> History:
    """Return the history of a journal file, new or existing, with its state replayed.

    Parameters
    ----------
    path
        The journal; made if it does not exist.
    annotator
        Whose annotations are shown.
    palette
        The classes of a new journal, by default red cells, white cells and platelets; an
        existing journal keeps its own.

    Raises
    ------
    StorageError
        For a journal that cannot be written or is open elsewhere.
    ProjectError
        For a damaged one.
    """
    journal = Journal(path)
    try:
        if len(journal) == 0:
            start = default_palette() if palette is None else palette
            journal.append(to_record(SetPalette(start)))
        history = History(replay(journal.read(), annotator), journal)
    except BaseException:
        journal.close()
        raise
    if journal.torn:
        history.notices.append(
            f"The last line of “{path.name}” was torn, as when a computer stops in the middle of "
            f"a click. It was put aside in “{path.name}.torn”: look whether your last annotation "
            "is there."
        )
    return history
