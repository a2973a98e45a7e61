"""The dock: Qt only. Nothing here is imported before the dock is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_hemacells.widgets.dock import HemaCellsWidget, open_result

__all__ = ["HemaCellsWidget", "open_result"]


def __getattr__(name: str) -> Any:
    """Import the dock when it is asked for, so that the manifest costs napari nothing."""
    if name in __all__:
        from napari_hemacells.widgets import dock

        return getattr(dock, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
