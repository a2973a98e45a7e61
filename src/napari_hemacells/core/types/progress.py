"""Progress of long steps.

Long steps are generators that yield reports and return their result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.types.cells import PartCells


@dataclass(frozen=True)
class Progress:
    """A report of a long step.

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
    """Run a generator of steps to its end and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
