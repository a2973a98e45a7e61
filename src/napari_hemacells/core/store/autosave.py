"""Where a session is kept that nobody has named yet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.store.atomic import file_name
from napari_hemacells.core.store.schema import FILE_NAME, read_project_file

if TYPE_CHECKING:
    from napari_hemacells.core.types import SmearImage


def projects_root() -> Path:
    """The user's folder for such projects, by the custom of the system; it may not exist yet."""
    import platformdirs

    return Path(platformdirs.user_data_path("hemacells", appauthor=False)) / "projects"


def default_folder(image: SmearImage, root: Path | None = None) -> Path:
    """The folder for a project that starts with this image, named by it and by its content."""
    return (root or projects_root()) / f"{file_name(image.name)}-{image.key}"


def find_project(image_key: str, root: Path | None = None) -> Path | None:
    """The folder of the project last changed that holds this image, ``None`` without one."""
    found = [
        file
        for file in (root or projects_root()).glob(f"*/{FILE_NAME}")
        if _holds(file, image_key)
    ]
    newest = max(found, key=lambda file: file.stat().st_mtime, default=None)
    return None if newest is None else newest.parent


def _holds(file: Path, image_key: str) -> bool:
    try:
        return any(image.key == image_key for image in read_project_file(file.parent).images)
    except StorageError:
        return False  # a damaged project is told when it is opened, not when another is sought
