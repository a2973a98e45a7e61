"""Crops in order, cut in a thread while the network learns from those before."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType

    from napari_hemacells.core.train.detector.crops import Crop, CropStream


class Ahead:
    """The crops of a stream from a number on, a few of them cut ahead.

    Parameters
    ----------
    ahead
        How many crops are made before they are asked for.
    """

    def __init__(self, stream: CropStream, start: int, ahead: int) -> None:
        self._stream, self._next, self._ahead = stream, start, ahead
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future[Crop]] = deque()

    def __enter__(self) -> Ahead:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def take(self, count: int) -> list[Crop]:
        """Return the next crops."""
        while len(self._waiting) < count + self._ahead:
            self._waiting.append(self._pool.submit(self._stream.__getitem__, self._next))
            self._next += 1
        return [self._waiting.popleft().result() for _ in range(count)]
