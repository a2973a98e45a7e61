"""Open files and folders of temperatures as layers in °C."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.files.own_files import without_clutter
from napari_hemacells.core.temperature import (
    THERMOGRAM_SUFFIXES,
    find_thermograms,
    is_thermogram,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    LayerData = tuple[Any, dict[str, Any], str]

MAX_FILES_TRIED = 30  # files of a folder that are tried before it is somebody else's


def choose_reader(path: str | list[str]) -> Callable[[Any], list[LayerData]] | None:
    """Return :func:`read` for temperatures, ``None`` for anything else.

    A folder is accepted if one of its first files of a suitable type contains temperatures.
    """
    paths = [Path(given_path) for given_path in ([path] if isinstance(path, str) else path)]
    ours = bool(paths) and all(
        _holds_thermograms(given_path) if given_path.is_dir() else is_thermogram(given_path)
        for given_path in paths
    )
    return read if ours else None


def read(path: str | list[str]) -> list[LayerData]:
    """Return layers in °C; several files or a folder give one lazy stack per frame size.

    Raises
    ------
    ThermogramError
        The file shown first is damaged or not in °C; others raise this when they are displayed.
    """
    from napari_hemacells.thermal import stem, thermal_layers

    given = [Path(given_path) for given_path in ([path] if isinstance(path, str) else path)]
    files = [
        file
        for given_path in given
        for file in (find_thermograms(given_path) if given_path.is_dir() else [given_path])
    ]
    if not files:
        raise ThermogramError(f"{given[0].name} contains no file with temperatures.")
    name = stem(given[0]) if len(given) == 1 else given[0].resolve().parent.name
    layers = thermal_layers(files, name)
    show_status_temperature()
    return layers


def show_status_temperature() -> None:
    """Show the temperature under the pointer in the current viewer, if there is one."""
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is not None:
        from napari_hemacells.widgets.thermography.status_bar import show_temperature

        show_temperature(viewer)


def _holds_thermograms(folder: Path) -> bool:
    try:
        inside = without_clutter(folder.iterdir())
    except OSError:
        return False
    likely = (file for file in inside if file.suffix.lower() in THERMOGRAM_SUFFIXES)
    return any(is_thermogram(file) for file in islice(likely, MAX_FILES_TRIED))
