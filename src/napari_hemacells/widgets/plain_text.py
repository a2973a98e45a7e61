"""Text as it is: Qt takes what looks like HTML for HTML, and names come from other people's files.

A class, an image or a project may be called ``<img src=…>`` or ``<a href=…>``: such a name is
shown letter by letter, wherever it is shown.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


class PlainLabel(QLabel):
    """A label whose text is never taken for HTML, and its tooltip neither."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)

    def setToolTip(self, text: str | None) -> None:  # noqa: N802
        """Set the tooltip."""
        super().setToolTip(plain_tip(text or ""))


def heading(text: str) -> PlainLabel:
    """Return a label in bold."""
    label = PlainLabel(text)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    label.setStyleSheet("font-weight: bold;")  # napari's style sheet sets the font anew
    return label


def rich_label() -> QLabel:
    """Return a label for HTML of our own making, in which every name is escaped."""
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.RichText)
    return label


def plain_tip(text: str) -> str:
    """Return a tooltip or the text of a message box that shows these letters.

    Examples
    --------
    >>> plain_tip("RBC: click to make it active")
    'RBC: click to make it active'
    >>> plain_tip("<b>RBC</b>")
    '<qt>&lt;b&gt;RBC&lt;/b&gt;</qt>'
    """
    if "<" not in text and "&" not in text:
        return text
    lines = "<br>".join(escape(text, quote=False).split("\n"))
    return f"<qt>{lines}</qt>"


def elided(text: str, length: int = 24) -> str:
    """Return a name short enough for a button: on one line, its end cut off with an ellipsis.

    Examples
    --------
    >>> elided("segmented neutrophil, toxic granulation")
    'segmented neutrophil, t…'
    """
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def literal(text: str) -> str:
    """Return the text of a button or menu that shows these letters: ``&`` underlines none.

    Examples
    --------
    >>> literal("B & T")
    'B && T'
    """
    return text.replace("&", "&&")
