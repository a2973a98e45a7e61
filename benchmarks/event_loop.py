"""How long a window is away from its events, and what it does meanwhile."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qtpy.QtCore import QEventLoop, QTimer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BEAT_MS = 5
LATE = 0.05  # seconds after which a watcher looks what the main thread does
PATIENCE = 3600


class StallWatch:
    """A timer in the event loop; the time between two beats is how long the window stood still.

    A second thread looks at the main thread's stack while a beat is late, so that each long slot
    can be found. The share of the stall that it saw in each place is kept.
    """

    def __init__(self) -> None:
        self.phase = "start"
        self.longest: dict[str, float] = {}
        self.busiest: dict[str, float] = {}  # its own processor time between two beats
        self.count: Counter[str] = Counter()  # above 100 ms
        self.places: dict[str, Counter[str]] = {}
        self.stalls: list[tuple[str, float, str]] = []
        self._beat, self._worked = time.perf_counter(), time.thread_time()
        self._seen: Counter[str] = Counter()
        self._main = threading.get_ident()
        self._timer = QTimer()
        self._timer.setInterval(BEAT_MS)
        self._timer.timeout.connect(self._tick)
        self._stop = threading.Event()
        threading.Thread(target=self._look, daemon=True).start()
        self._timer.start()

    def _tick(self) -> None:
        now = time.perf_counter()
        away = now - self._beat
        self._beat = now
        worked = time.thread_time()
        busy, self._worked = worked - self._worked, worked
        self.busiest[self.phase] = max(self.busiest.get(self.phase, 0.0), busy)
        self.longest[self.phase] = max(self.longest.get(self.phase, 0.0), away)
        if away > 0.1:
            self.count[self.phase] += 1
            what = self._seen.most_common(1)[0][0] if self._seen else "?"
            self.stalls.append((self.phase, away, what))
        self._seen.clear()

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            if time.perf_counter() - self._beat < LATE:
                continue
            frame = sys._current_frames().get(self._main)  # noqa: SLF001
            if frame is not None:
                own = [
                    f"{entry.filename.rsplit('/', 1)[-1]}:{entry.lineno} {entry.name}"
                    for entry in traceback.extract_stack(frame)
                ]
                self._seen[" < ".join(reversed(own[-14:]))] += 1

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave out what the measuring script itself does in between."""
        self._tick()
        yield
        self._beat = time.perf_counter()
        self._seen.clear()

    def wait(self, seconds: float) -> None:
        """Let the window live for so long."""
        loop = QEventLoop()
        QTimer.singleShot(round(1000 * seconds), loop.quit)
        loop.exec()

    def wait_until(self, done: Callable[[], bool], patience: float = PATIENCE) -> float | None:
        """Let the window live until something is so; return the seconds, ``None`` if it is not.

        Raises
        ------
        SystemExit
            It takes longer than an hour.
        """
        start = time.perf_counter()
        loop = QEventLoop()
        poll = QTimer()
        poll.setInterval(10)

        def look() -> None:
            if done() or time.perf_counter() - start > patience:
                loop.quit()

        poll.timeout.connect(look)
        poll.start()
        if not done():
            loop.exec()
        poll.stop()
        took = time.perf_counter() - start
        if took > PATIENCE:
            raise SystemExit(f"Not done within {patience} seconds: {self.phase}")
        return took if done() else None

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._timer.stop()
