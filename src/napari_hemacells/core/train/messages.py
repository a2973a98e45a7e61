"""What parent and child say to one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_hemacells.core.errors import HemaCellsError
    from napari_hemacells.core.train.reports import TrainingReport


@dataclass(frozen=True)
class Order:
    """What to do: the first and only thing that the parent says."""

    job: Callable[[Any], Generator[TrainingReport, None, Any]]
    params: Any
    threads: int | None


@dataclass(frozen=True)
class Told:
    """How far the job is."""

    report: TrainingReport


@dataclass(frozen=True)
class Ended:
    """The job's result; nothing comes after it."""

    result: Any


@dataclass(frozen=True)
class Failed:
    """A sentence for the user, and where it comes from; nothing comes after it."""

    error: HemaCellsError
    traceback: str
