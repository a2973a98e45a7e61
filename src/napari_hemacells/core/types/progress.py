"""What long steps tell while they run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
