"""The message bar at the foot of the dock: messages, errors, progress and *Cancel*."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.core.errors import BundleMismatchError, HemaCellsError
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.plain_text import PlainLabel
from napari_hemacells.widgets.wording import about_regions

if TYPE_CHECKING:
    from collections.abc import Callable

Level: TypeAlias = Literal["info", "warning", "error"]

_MARKS: dict[Level, str] = {"info": "", "warning": "▲ ", "error": "■ "}


class MessageBar(QWidget):
    """The message bar with, above it, progress and Cancel while a task runs.

    Attributes
    ----------
    regions
        Whether the image is a thermogram: its messages speak of regions and not of cells.
    """

    cancel_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.level: Level = "info"
        self.regions = False
        self._bar = QProgressBar()
        self._bar.setAccessibleName("Progress")
        self._cancel = QPushButton("Cancel")
        self._cancel.setToolTip("Stop the running task; finished parts are kept")
        self._cancel.clicked.connect(self.cancel_requested)
        self.offer_button = QPushButton()
        self.offer_button.clicked.connect(self._accept)
        self._accepted: Callable[[], object] | None = None  # what the offer is for
        self._text = PlainLabel()
        self._text.setWordWrap(True)
        self._text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self._text.setAccessibleName("Message")
        self._text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.MinimumExpanding)
        self._running = QWidget()
        row = QHBoxLayout(self._running)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._bar, 1)
        row.addWidget(self._cancel)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._running)
        column.addWidget(self._text)
        column.addWidget(self.offer_button)
        self._running.hide()
        self.offer_button.hide()

    @property
    def offered(self) -> str:
        """The label of the button below the message; empty where nothing is offered."""
        return "" if self.offer_button.isHidden() else self.offer_button.text()

    @property
    def text(self) -> str:
        """The message shown, without its mark."""
        return self._text.text().removeprefix(_MARKS[self.level])

    def say(
        self,
        message: str,
        level: Level = "info",
        offer: str = "",
        accept: Callable[[], object] | None = None,
    ) -> None:
        """Show a sentence; a warning or an error has a mark as well as a colour.

        Parameters
        ----------
        offer
            Label of a button below the sentence, until the next one is shown.
        accept
            Called when that button is pressed.
        """
        self.level, self._accepted = level, accept
        self.offer_button.setText(offer)
        self.offer_button.setVisible(bool(offer))
        self._text.setText(_MARKS[level] + self._worded(message))
        self.restyle()

    def _accept(self) -> None:
        if self._accepted is not None:
            self._accepted()

    def progress(self, done: int, total: int, message: str) -> None:
        """Show the progress of the running task; a total of 0 means unknown.

        One step that is not done yet says no more: the bar moves instead of standing at 0 %.
        """
        self._bar.setRange(0, 0 if (done, total) == (0, 1) else total)
        self._bar.setValue(done)
        self._bar.setFormat(self._worded(message) or "%p %")
        self._running.show()

    def finish(self) -> None:
        """Hide the progress: no task runs."""
        self._running.hide()

    def _worded(self, message: str) -> str:
        return about_regions(message) if self.regions else message

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        shown = {
            "info": "", "warning": theme.text_css("warning"), "error": theme.text_css("error"),
        }  # fmt: skip
        colour = shown[self.level]
        self._text.setStyleSheet(f"color: {colour}; font-weight: 600;" if colour else "")


class Notifier:
    """Shows messages, warnings and errors of the dock."""

    def __init__(self, bar: MessageBar) -> None:
        self._bar = bar
        self._refusal = ""  # why the last attempt failed

    def say(self, message: str) -> None:
        """Show a message."""
        self._bar.say(message)

    def offer(
        self, message: str, label: str, accept: Callable[[], object], level: Level = "info"
    ) -> None:
        """Show a message with a button below it, and what that button does."""
        self._bar.say(message, level, offer=label, accept=accept)

    def warn(self, message: str) -> None:
        """Show a warning: what was not done, and what to do."""
        self._bar.say(message, "warning")

    def refuse(self, message: str) -> None:
        """Show why a step was not taken, until the next one is."""
        self.warn(message)
        self._refusal = self._bar.text

    def forget_refusal(self) -> None:
        """Take the last refusal away: a step was taken since."""
        if self._refusal and self._bar.text == self._refusal:
            self.say("")
        self._refusal = ""

    def fail(self, message: str) -> None:
        """Show an error."""
        self._bar.say(message, "error")

    def attempt(self, change: Callable[[], object]) -> bool:
        """Run an action and return whether it succeeded; on failure, show the reason."""
        try:
            change()
        except BundleMismatchError as error:
            self.fail(f"This model was not loaded: {error}")
            return False
        except HemaCellsError as error:
            self.fail(str(error))
            return False
        return True
