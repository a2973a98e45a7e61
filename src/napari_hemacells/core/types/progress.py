"""What long steps tell while they run.

Long work is a generator that yields reports and returns its result; here it is run whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.types.cells import PartCells


@dataclass(frozen=True)
class Progress:
    """What a long step tells while it runs.

    Attributes
    ----------
    found
        The cells that are new since the last report, while cells are looked for.
    """

    done: int
    total: int
    message: str = ""
    found: PartCells | None = None


Result = TypeVar("Result")


def run_to_end(steps: Generator[Progress, None, Result]) -> Result:
    """What a generator of steps returns, its reports dropped."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
