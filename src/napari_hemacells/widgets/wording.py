"""Of a thermogram the dock speaks of regions and not of cells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QAbstractButton, QGroupBox, QLabel, QWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Quoted names and paths are the user's words and stay; so do words of several parts.
_CELL = re.compile(
    r"\b[Cc]ell pictures\b|"  # what files are is said of them alone
    r"“[^”]*”|[^\s<>]*[/\\][^\s<>]*|\S*\.[^\s<]+|\b(?P<first>[Cc])ell(?P<rest>s?)\b"
)
_BEFORE, _AFTER = "_hemacells_about_cells", "_hemacells_about_regions"


def about_regions(text: str) -> str:
    """Return a sentence on cells as one on the regions of a thermogram.

    Examples
    --------
    >>> about_regions("Cell 3 of “T cells.png”: no cells yet.")
    'Region 3 of “T cells.png”: no regions yet.'
    """

    def exchange(match: re.Match[str]) -> str:
        if match["first"] is None:
            return match[0]
        return f"{'R' if match['first'] == 'C' else 'r'}egion{match['rest']}"

    return _CELL.sub(exchange, text)


def speak_of_regions(panels: Iterable[QWidget], *, regions: bool) -> None:
    """Let labels, buttons and tooltips of these panels speak of regions, or again of cells."""
    for panel in panels:
        for widget in (panel, *panel.findChildren(QWidget)):
            _exchange(widget, "tip", widget.toolTip(), widget.setToolTip, regions=regions)
            if isinstance(widget, QLabel | QAbstractButton):
                _exchange(widget, "text", widget.text(), widget.setText, regions=regions)
            elif isinstance(widget, QGroupBox):
                _exchange(widget, "title", widget.title(), widget.setTitle, regions=regions)


def _exchange(
    widget: QWidget, what: str, text: str, show: Callable[[str], None], *, regions: bool
) -> None:
    """Exchange one text; what it was before is kept with the widget."""
    before, after = f"{_BEFORE}_{what}", f"{_AFTER}_{what}"
    if regions:
        changed = about_regions(text)
        if changed != text:
            widget.setProperty(before, text)
            widget.setProperty(after, changed)
            show(changed)
    elif text and text == widget.property(after):
        show(str(widget.property(before)))
        widget.setProperty(after, None)
