"""How long a task will still take, from the steps that it has done lately."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_S = 30.0  # of the steps that the speed is taken from
LEAST_STEPS, LEAST_SECONDS = 3, 2.0  # before, the speed is a guess


class TimeLeft:
    """The time left of one task after another.

    Parameters
    ----------
    clock
        Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._phase: tuple[str, int] = ("", 0)
        self._steps: deque[tuple[float, int]] = deque()

    def reset(self) -> None:
        """Start anew: another task begins."""
        self._phase, self._steps = ("", 0), deque()

    def after(self, task: str, done: int, total: int) -> float | None:
        """Return the seconds left after a report; ``None`` while too few steps are done.

        Parameters
        ----------
        task
            The task; another one, or another total, starts anew.
        """
        now = self._clock()
        if (task, total) != self._phase or (self._steps and done < self._steps[-1][1]):
            self._phase, self._steps = (task, total), deque()
        if not self._steps or done > self._steps[-1][1]:
            self._steps.append((now, done))
        while len(self._steps) > LEAST_STEPS + 1 and now - self._steps[0][0] > WINDOW_S:
            self._steps.popleft()
        (began, first), (_, last) = self._steps[0], self._steps[-1]
        enough = len(self._steps) > LEAST_STEPS and now - began >= LEAST_SECONDS
        if not enough or total <= done:
            return None
        # From the last step, else the time left would grow while a step lasts.
        since = now - self._steps[-1][0]
        seconds = (self._steps[-1][0] - began) / (last - first) * (total - last)
        return max(0.0, seconds - since)


def format_time_left(seconds: float | None) -> str:
    """Return the time left in words, rounded as befits a guess; empty where it is not known.

    Examples
    --------
    >>> format_time_left(17.2), format_time_left(100), format_time_left(2), format_time_left(None)
    ('about 15 s left', 'about 2 min left', 'a few seconds left', '')
    """
    if seconds is None:
        return ""
    if seconds < 5:
        return "a few seconds left"
    if seconds < 57.5:
        return f"about {5 * round(seconds / 5)} s left"
    minutes = max(1, round(seconds / 60))
    hours, rest = divmod(minutes, 60)
    return f"about {hours} h {rest} min left" if hours else f"about {minutes} min left"
