"""What the dock says: sentences on its message line, and errors turned into them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.errors import BundleMismatchError, HemaCellsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_hemacells.widgets.messages import MessageBar


class Voice:
    """One voice for everything that the dock does."""

    def __init__(self, bar: MessageBar) -> None:
        self._bar = bar

    def say(self, message: str) -> None:
        """Tell what happened."""
        self._bar.say(message)

    def warn(self, message: str) -> None:
        """Tell what did not happen, and what to do."""
        self._bar.say(message, "warning")

    def fail(self, message: str) -> None:
        """Tell what went wrong."""
        self._bar.say(message, "error")

    def attempt(self, change: Callable[[], object]) -> bool:
        """Whether it could be done; if not, the reason is shown."""
        try:
            change()
        except BundleMismatchError as error:
            self.fail(f"This model was not loaded: {error}")
            return False
        except HemaCellsError as error:
            self.fail(str(error))
            return False
        return True
