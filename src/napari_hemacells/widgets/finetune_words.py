"""What the fine-tuning page says, and how long is left."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from napari_hemacells.core.types import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_hemacells.core.train import TrainingReport
    from napari_hemacells.session.finetuning import Change

LISTED = 3  # pairs of classes between which most cells change


@dataclass(frozen=True)
class Teaching:
    """What there is to learn from.

    Attributes
    ----------
    reason
        Why it is not possible now; empty where it is.
    split
        How the training would check itself, in a sentence.
    """

    images: int = 0
    counts: tuple[tuple[str, int], ...] = ()
    split: str = ""
    reason: str = ""

    def words(self) -> str:
        """What it would learn from."""
        total = sum(count for _, count in self.counts)
        if not total:
            return "No cell has your word yet."
        each = ", ".join(f"{count:,} {name}" for name, count in self.counts)
        return f"{counted(total, 'annotated cell')} of {counted(self.images, 'image')}: {each}."


@dataclass(frozen=True)
class Comparison:
    """A new model beside the classifier in use.

    Attributes
    ----------
    image_key
        The image that was open; empty for none.
    compared
        Cells of that image that were looked at; 0 where there is none.
    changes
        Those that would change their class.
    agreement
        Held-out cells that both were asked about, and how many each got right.
    """

    image_key: str = ""
    compared: int = 0
    changes: tuple[Change, ...] = ()
    agreement: tuple[int, int, int] | None = None


class Remaining:
    """Seconds to go: what the training says, or what is left of the time foretold.

    Parameters
    ----------
    foretold
        Seconds in all, where that was estimated.
    """

    def __init__(
        self, foretold: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._foretold, self._clock, self._began = foretold, clock, clock()

    def after(self, report: TrainingReport) -> float | None:
        """Return the seconds to go after a report; ``None`` where unknown, or nearly none."""
        if report.phase == "end":
            return None
        if report.eta_s is not None:
            return report.eta_s
        if self._foretold is None:
            return None
        left = self._foretold - (self._clock() - self._began)
        return left if left > 0 else None


def outcome_html(
    comparison: Comparison,
    names: Mapping[str, str],
    left_out: Sequence[str] = (),
) -> str:
    """Return what came of a training, and what would change, in a few sentences."""
    parts = [_agreement(comparison), _changes(comparison, names)]
    parts += [escape(one) for one in left_out]
    return "".join(f"<p>{one}</p>" for one in parts if one)


def _agreement(comparison: Comparison) -> str:
    if comparison.agreement is None:
        return ""
    n, before, after = comparison.agreement
    verdict = "" if after >= before else " <b>It does no better than before: drop it.</b>"
    return (
        f"Of {counted(n, 'held-out cell')} the new model gives <b>{after:,}</b> your class, the "
        f"classifier in use, taught with the same cells, <b>{before:,}</b>.{verdict}"
    )


def _changes(comparison: Comparison, names: Mapping[str, str]) -> str:
    if not comparison.compared:
        return ""
    changes = comparison.changes
    if not changes:
        return f"None of {counted(comparison.compared, 'cell')} of this image changes its class."
    pairs = Counter((one.before, one.after) for one in changes).most_common(LISTED)
    told = ", ".join(f"{n} {_name(old, names)} → {_name(new, names)}" for (old, new), n in pairs)
    more = " …" if len({(one.before, one.after) for one in changes}) > LISTED else ""
    return (
        f"<b>{len(changes):,}</b> of {counted(comparison.compared, 'cell')} of this image would "
        f"change their class: {told}{more}. What you annotated stays."
    )


def _name(class_id: str, names: Mapping[str, str]) -> str:
    return "unknown" if class_id == UNKNOWN else escape(names.get(class_id, class_id))


def counted(n: int, thing: str) -> str:
    """``1 cell``, ``1,200 cells``."""
    return f"{n:,} {thing}{'s' * (n != 1)}"
