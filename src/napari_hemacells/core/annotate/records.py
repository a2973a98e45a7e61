"""Actions as plain JSON records, and back."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from napari_hemacells.core.annotate.actions import (
    Action,
    AddClass,
    DeleteClass,
    RecolourClass,
    RenameClass,
    RestoreClass,
    RestoreLabels,
    SetClassKey,
    SetLabels,
    SetPalette,
)
from napari_hemacells.core.annotate.correct_cells import CorrectCells
from napari_hemacells.core.errors import ProjectError

AnyAction: TypeAlias = Annotated[
    AddClass
    | CorrectCells
    | DeleteClass
    | RecolourClass
    | RenameClass
    | RestoreClass
    | RestoreLabels
    | SetClassKey
    | SetLabels
    | SetPalette,
    Field(discriminator="kind"),
]


@cache
def _adapter() -> TypeAdapter[Any]:
    return TypeAdapter(AnyAction)


def to_record(action: Action) -> dict[str, Any]:
    """Return the action as plain JSON values; its ``kind`` says which it is."""
    record: dict[str, Any] = _adapter().dump_python(action, mode="json")
    return record


def from_record(record: dict[str, Any]) -> Action:
    """Return the action of a record that :func:`to_record` made.

    Raises
    ------
    ProjectError
        For a record of no known kind or with values that do not belong in it.
    """
    try:
        action: Action = _adapter().validate_python(record)
    except ValidationError as error:
        raise ProjectError(
            f"The journal holds a record of the kind “{record.get('kind')}” that this version of "
            "HemaCells cannot read: open the project with a newer version."
        ) from error
    return action
