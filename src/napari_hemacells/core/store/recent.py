"""The projects opened lately, in a small file in the user's data folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path  # noqa: TC003  # pydantic reads the hint
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_hemacells.core.annotate.state import utc_now
from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.files.fsio import read_bytes, write_bytes
from napari_hemacells.core.store.project import projects_root
from napari_hemacells.core.store.schema import FILE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_hemacells.core.store.project import Project

KEPT = 12  # projects
_LIMIT = 2**20  # bytes


class RecentProject(BaseModel):
    """A project that was opened lately.

    Attributes
    ----------
    name
        What the user calls it.
    folder
        Where it was.
    opened
        When, in UTC (ISO 8601).
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    folder: Path
    opened: str

    @property
    def is_there(self) -> bool:
        """Whether the folder still holds a project."""
        return (self.folder / FILE_NAME).is_file()

    @property
    def when(self) -> str:
        """Day and time in the computer's time zone; empty where the file does not tell."""
        try:
            opened = datetime.fromisoformat(self.opened).astimezone()
        except ValueError:
            return ""
        return opened.strftime("%d %b %Y %H:%M").lstrip("0")


class _RecentFile(BaseModel):
    """What the file holds, the latest project first."""

    model_config = ConfigDict(extra="ignore")

    projects: tuple[RecentProject, ...] = ()


def recent_file() -> Path:
    """Return where the list is kept; it may not exist yet."""
    return projects_root().parent / "recent-projects.json"


def recent_projects(file: Path | None = None) -> tuple[RecentProject, ...]:
    """Return the projects opened lately, the latest first; none from a file that is damaged."""
    path = file or recent_file()
    if not path.is_file():
        return ()
    try:
        return _RecentFile.model_validate_json(read_bytes(path, _LIMIT)).projects[:KEPT]
    except (ValidationError, StorageError):
        return ()  # only a convenience: the projects themselves are not touched


def remember_project(project: Project, file: Path | None = None) -> None:
    """Put a project at the head of the list.

    Raises
    ------
    StorageError
        The list cannot be written.
    """
    entry = RecentProject(name=project.name, folder=project.folder, opened=utc_now())
    others = (other for other in recent_projects(file) if other.folder != project.folder)
    _write((entry, *others), file)


def forget_project(folder: Path, file: Path | None = None) -> None:
    """Take a project off the list; the project itself stays.

    Raises
    ------
    StorageError
        The list cannot be written.
    """
    _write((other for other in recent_projects(file) if other.folder != folder), file)


def _write(projects: Iterable[RecentProject], file: Path | None) -> None:
    content = _RecentFile(projects=tuple(projects)[:KEPT])
    write_bytes(file or recent_file(), content.model_dump_json(indent=1).encode() + b"\n")
