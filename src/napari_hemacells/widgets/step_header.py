"""The buttons of the four steps: current, done, and not yet possible."""

from __future__ import annotations

from typing import Literal, TypeAlias

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QSizePolicy, QWidget

from napari_hemacells.widgets import theme

Step: TypeAlias = Literal["detect", "annotate", "classify", "export"]
STEPS: tuple[Step, ...] = ("detect", "annotate", "classify", "export")
_TITLES = {
    "detect": "&Detect",
    "annotate": "&Annotate",
    "classify": "&Classify",
    "export": "&Export",
}


class StepHeader(QWidget):
    """Four numbered buttons, one of them pressed; Alt and the underlined letter press them."""

    step_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(3)
        self._group = QButtonGroup(self)
        self._buttons: dict[Step, QPushButton] = {}
        self._done: set[Step] = set()
        for step in STEPS:
            button = QPushButton()
            button.setCheckable(True)
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            button.clicked.connect(self._clicked)
            self._group.addButton(button)
            self._buttons[step] = button
            row.addWidget(button, len(_TITLES[step]))
        self.show_step("detect")
        self._write()

    def button(self, step: Step) -> QPushButton:
        """The button of a step."""
        return self._buttons[step]

    @property
    def step(self) -> Step:
        """The step shown."""
        return next(step for step, button in self._buttons.items() if button.isChecked())

    def show_step(self, step: Step) -> None:
        """Set the pressed button without a request."""
        self._buttons[step].setChecked(True)
        self.restyle()

    def set_state(self, step: Step, *, done: bool, missing: str = "") -> None:
        """Mark a step as done, or as not yet possible with the reason in its tooltip."""
        button = self._buttons[step]
        (self._done.add if done else self._done.discard)(step)
        button.setEnabled(not missing)
        name = _TITLES[step].replace("&", "")
        button.setToolTip(missing or f"{name} (Alt+{name[0]})")
        self._write()

    def restyle(self) -> None:
        """Apply the colours of the present theme; the current step is underlined."""
        down, text = theme.css("current"), theme.css("text")
        self.setStyleSheet(
            "QPushButton { padding: 5px 2px; border-radius: 3px; }"
            f"QPushButton:checked {{ border-bottom: 3px solid {down}; color: {text};"
            " font-weight: bold; }"
            f"QPushButton:focus {{ border: 1px solid {text}; }}"
        )

    def _write(self) -> None:
        for number, (step, button) in enumerate(self._buttons.items(), start=1):
            mark = "✓" if step in self._done else str(number)
            button.setText(f"{mark} {_TITLES[step]}")

    def _clicked(self) -> None:
        self.step_requested.emit(self.step)
