"""What came of a fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_hemacells.core.train.detector.tally import ALL, Tally

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.core.train.curves import Curves


@dataclass(frozen=True, eq=False)
class Learned:
    """A picture of the training, as the report names it: name, key, whether learned from."""

    name: str
    key: str
    learned: bool
    cells: int


@dataclass(frozen=True, eq=False)
class DetectorOutcome:
    """What came of a fine-tuning.

    Attributes
    ----------
    weights, report
        The files written.
    before, before_limits, after
        The held-out part with the start as it was, with the start and limits chosen on the
        held-out part, and with the fine-tuned weights and limits chosen there.
    best_step, steps, seconds
        Which step was kept, of how many done, and how long it took.
    notes
        What should be known: the split, a batch that was halved, an early stop.
    """

    weights: Path
    report: Path
    before: Tally
    before_limits: Tally
    after: Tally
    best_step: int
    steps: int
    seconds: float
    split: str
    curves: Curves
    notes: tuple[str, ...] = ()
    images: tuple[Learned, ...] = field(default_factory=tuple)

    @property
    def better(self) -> bool:
        """Whether the held-out part is done better, by more than a cell, than by the start.

        The start has its limits chosen there, too.
        """
        gain = self.after.f1()[ALL] - self.before_limits.f1()[ALL]
        return gain > self.after.grain
