"""Naming an encoder that is not in the list: by its name, or by a file."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.core.encode.adapted import read_header
from napari_hemacells.core.encode.shelf import WEIGHT_ENDINGS
from napari_hemacells.core.encoder_names import why_not
from napari_hemacells.core.errors import EncoderError

_WORDS = (
    "timm:NAME, any model of timm, such as timm:resnet18\n"
    "dinobloom-s, dinobloom-b, reddino-small, reddino-base, reddino-large\n"
    "adapted:PATH, an encoder adapted to your cells\n"
    "file:PATH?arch=NAME, weights of the network that timm calls NAME\n\n"
    "Published weights are fetched once, where there is a network."
)


class EncoderDialog(QDialog):
    """One line for the name, which is checked while it is typed, and a file dialog."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Look at cells with another encoder")
        self.name = QLineEdit()
        self.name.setPlaceholderText("timm:resnet18")
        self.name.setAccessibleName("Name of the encoder")
        self.name.setMinimumWidth(360)
        self.browse = QPushButton("&File…")
        self.browse.setToolTip("Choose a file of weights, or an adapted encoder")
        self.reason = QLabel()
        self.reason.setWordWrap(True)
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        row = QHBoxLayout()
        row.addWidget(self.name, 1)
        row.addWidget(self.browse)
        column = QVBoxLayout(self)
        column.addWidget(QLabel(_WORDS))
        column.addLayout(row)
        column.addWidget(self.reason)
        column.addWidget(self.buttons)
        self.name.textChanged.connect(self._check)
        self.browse.clicked.connect(self._browse)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self._check()

    @property
    def encoder(self) -> str:
        """The name as it stands."""
        return self.name.text().strip()

    def use_file(self, file: Path) -> None:
        """Write the name of a file's encoder; of a checkpoint, its network has to be added."""
        try:
            read_header(file)
        except EncoderError:
            self.name.setText(f"file:{file}?arch=")
            self.name.setFocus()
        else:
            self.name.setText(f"adapted:{file}")

    def _browse(self) -> None:
        endings = " ".join(f"*{ending}" for ending in WEIGHT_ENDINGS)
        chosen, _ = QFileDialog.getOpenFileName(
            self, "Weights of an encoder", "", f"Weights ({endings})"
        )
        if chosen:
            self.use_file(Path(chosen))

    def _check(self) -> None:
        reason = why_not(self.encoder) if self.encoder else ""
        self.reason.setText(f"{reason[:1].upper()}{reason[1:]}")
        ok = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        if ok is not None:
            ok.setEnabled(bool(self.encoder) and not reason)


def ask_for_encoder(parent: QWidget) -> str:
    """Return the name that the user gave; empty if none."""
    dialog = EncoderDialog(parent)
    accepted = dialog.exec() == QDialog.DialogCode.Accepted
    return dialog.encoder if accepted else ""
