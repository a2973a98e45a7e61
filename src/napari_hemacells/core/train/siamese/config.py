"""What a siamese training is told, and what comes of it. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.params import SiameseParams

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_hemacells.core.classify.verification import ThresholdRule

WEIGHTS, LIKENESS, REPORT, TRAINING = (
    "siamese.safetensors",
    "likeness.safetensors",
    "report.html",
    "training",
)
THESIS_MARGIN, UNIT_MARGIN, TRIPLET_MARGIN = 2.0, 1.0, 0.1
EPOCHS, TUNED_EPOCHS = 250, 30
LIBRARY_MISSING = (
    "The losses triplet and multi-similarity need the library pytorch-metric-learning, which is "
    'not installed: pip install "napari-hemacells[siamese]", or use the contrastive loss.'
)


@dataclass(frozen=True)
class SiameseJob:
    """One training.

    Attributes
    ----------
    out
        Folder for the network, the distance and the report; while it runs, also for the crops
        and the checkpoint.
    base
        Name of the encoder that is started from; of no account for the thesis' network.
    command
        What repeats it, for the report.
    """

    out: Path
    params: SiameseParams = field(default_factory=SiameseParams)
    base: str = "bundled"
    command: str = ""

    @property
    def folder(self) -> Path:
        """Where it keeps what it learns from, and its checkpoint."""
        return self.out / TRAINING

    @property
    def margin(self) -> float:
        """The margin of the loss."""
        params = self.params
        if params.margin is not None:
            return params.margin
        if params.network == "thesis":
            return THESIS_MARGIN
        return TRIPLET_MARGIN if params.loss == "triplet" else UNIT_MARGIN

    @property
    def epochs(self) -> int:
        """How often each cell is drawn."""
        return self.params.epochs or (TUNED_EPOCHS if self.params.network == "tuned" else EPOCHS)


def threshold_rule(text: str) -> ThresholdRule:
    """Return the rule that a parameter names.

    Examples
    --------
    >>> threshold_rule("equal-error"), threshold_rule("0.05")
    ('equal_error', 0.05)
    """
    if text == "equal-error":
        return "equal_error"
    return "youden" if text == "youden" else float(text)


def check_installed(params: SiameseParams) -> None:
    """Raise where the library of the loss is not installed.

    Raises
    ------
    TrainingError
        With the command that installs it.
    """
    uses_library = params.network != "distance" and params.loss != "contrastive"
    if uses_library and find_spec("pytorch_metric_learning") is None:
        raise TrainingError(LIBRARY_MISSING)


@dataclass(frozen=True)
class SiameseOutcome:
    """What came of a training.

    Attributes
    ----------
    weights
        File of the network, which is the encoder ``siamese:PATH``; ``None`` where only a distance
        of another encoder's vectors was learned.
    likeness
        File of the distance, its threshold and its calibration.
    encoder
        Name of the encoder whose vectors the distance compares.
    kinds
        Number of cells of each kind.
    held_out
        What it learned from and what the threshold was chosen on, in words.
    auroc, equal_error
        Of the distance, there; ``None`` where too little was annotated to tell.
    """

    weights: Path | None
    likeness: Path
    report: Path
    encoder: str
    seen: str
    kinds: Mapping[str, int]
    held_out: str
    threshold: float
    auroc: float | None
    equal_error: float | None
    steps: int
    seconds: float
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "encoder": self.encoder,
            "seen": self.seen,
            "likeness": str(self.likeness),
            "report": str(self.report),
            "kinds": dict(self.kinds),
            "held_out": self.held_out,
            "threshold": round(self.threshold, 4),
            "auroc": self.auroc,
            "equal_error": self.equal_error,
            "steps": self.steps,
            "seconds": round(self.seconds, 1),
            "notes": list(self.notes),
        }

    def format_summary(self) -> str:
        """Return what came of it, in words."""
        if self.auroc is None or self.equal_error is None:
            return self.held_out
        return (
            f"Learned from {self.held_out} On those pairs: AUROC {self.auroc:.3f}, "
            f"and at the threshold where both errors are equal {self.equal_error:.1%} of the "
            f"pairs are wrong. Two cells up to a distance of {self.threshold:.3f} are called the "
            "same kind."
        )
