"""What a training tells while it runs, and how long it still takes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from napari_hemacells.core.types import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

Result = TypeVar("Result")
Phase: TypeAlias = Literal["start", "train", "validate", "end"]


@dataclass(frozen=True)
class TrainingReport(Progress):
    """How far a training is, and how well it does; a :class:`Progress` for whoever knows no more.

    Attributes
    ----------
    phase
        What is going on.
    losses
        Parts of the training loss, a running mean, by name.
    metrics
        Figures of the held-out part, by name; empty between two looks at it.
    images_per_second
        Crops (or pictures) learned from, over the last while; 0 where unknown.
    eta_s
        Seconds still to go; ``None`` where unknown.
    """

    phase: Phase = "start"
    losses: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    images_per_second: float = 0.0
    eta_s: float | None = None

    @property
    def step(self) -> int:
        """Steps done."""
        return self.done

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.total


def as_training_reports(
    steps: Generator[Progress, None, Result],
) -> Generator[TrainingReport, None, Result]:
    """Return what other long work returns, its reports told as those of a training."""
    while True:
        try:
            progress = next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        yield TrainingReport(progress.done, progress.total, progress.message)


class ThroughputMeter:
    """Speed of a training: images a second, and seconds to go.

    Parameters
    ----------
    clock
        Seconds since any moment.
    memory
        Share of the old mean that each new step leaves.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, memory: float = 0.9) -> None:
        self._clock, self._memory = clock, memory
        self._last = clock()
        self._seconds: float | None = None  # a step takes
        self._images = 0.0

    def step(self, images: int) -> None:
        """Note that a step with so many images has been done."""
        now = self._clock()
        took, self._last = now - self._last, now
        if self._seconds is None:
            self._seconds, self._images = took, float(images)
        else:
            keep = self._memory
            self._seconds = keep * self._seconds + (1 - keep) * took
            self._images = keep * self._images + (1 - keep) * images

    def reset_timer(self) -> None:
        """Leave out the time since the last step, as after a look at the held-out part."""
        self._last = self._clock()

    @property
    def images_per_second(self) -> float:
        """Images learned from a second; 0 before the first step."""
        return self._images / self._seconds if self._seconds else 0.0

    def eta(self, steps_left: int) -> float | None:
        """Return the seconds that so many steps take; None before the first."""
        return None if self._seconds is None else self._seconds * steps_left


def format_duration(seconds: float) -> str:
    """``"2 min"``, ``"40 s"``, ``"1 h 5 min"``.

    Examples
    --------
    >>> in_words(125), in_words(7.2), in_words(3900)
    ('2 min', '7 s', '1 h 5 min')
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
