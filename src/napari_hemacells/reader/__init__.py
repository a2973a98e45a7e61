"""Readers that napari calls with a path; a reader returns ``None`` for files it does not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    LayerData = tuple[Any, dict[str, Any], str]
    Read = Callable[[Any], list[LayerData]]

__all__ = ["get_slide_reader", "get_thermogram_reader", "thermogram_sample"]


def get_thermogram_reader(path: str | list[str]) -> Read | None:
    """Return the reader of temperatures for a file, a folder or several files; else ``None``."""
    from napari_hemacells.reader import thermograms

    return thermograms.choose_reader(path)


def get_slide_reader(path: str | list[str]) -> Read | None:
    """Return the reader for a large image that is opened lazily; else ``None``."""
    from napari_hemacells.reader import slides

    return slides.choose_reader(path)


def thermogram_sample() -> list[LayerData]:
    """The synthetic thermogram with a hot spot, for *File ▸ Open Sample*."""
    from napari_hemacells.reader.thermograms import show_status_temperature
    from napari_hemacells.samples import thermogram_layers

    show_status_temperature()
    return thermogram_layers()
