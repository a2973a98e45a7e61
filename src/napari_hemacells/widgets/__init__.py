"""The dock's widgets (Qt); they are imported when the dock is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_hemacells.widgets.dock import HemaCellsWidget, open_result

__all__ = ["HemaCellsWidget", "open_result"]


def __getattr__(name: str) -> Any:
    """Import the dock on request, so that reading the manifest does not slow napari down."""
    if name in __all__:
        from napari_hemacells.widgets import dock

        return getattr(dock, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
