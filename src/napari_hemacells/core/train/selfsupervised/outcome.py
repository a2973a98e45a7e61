"""What came of adapting an encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class AdaptOutcome:
    """An adapted encoder, or why there is none.

    Attributes
    ----------
    file
        The encoder; None where it was not kept.
    sha256
        Its hash, by which models name it; empty where it was not kept.
    before, after
        Leave-one-out accuracy on the clicks; None where there were too few to judge by.
    crops, clicks
        How many taught, and how many judged.
    """

    file: Path | None
    sha256: str
    base: str
    before: float | None
    after: float | None
    crops: int
    clicks: int
    steps: int
    seconds: float
    losses: tuple[float, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def kept(self) -> bool:
        """Whether there is a new encoder."""
        return self.file is not None

    def sentence(self) -> str:
        """Return what came of it, in words."""
        if self.before is None or self.after is None:
            return (
                "There are too few clicks to judge it by (two classes with two or more each): "
                "compare before you rely on it."
            )
        figures = (
            f"Of your {self.clicks} clicks, each asked without itself, {self.before:.1%} were "
            f"recognised before and {self.after:.1%} after (mean over the classes)"
        )
        if self.kept:
            return f"{figures}: the adapted encoder is kept."
        return f"{figures}: it was not kept, and the encoder you have stays."

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "encoder": None if self.file is None else f"adapted:{self.file}",
            "kept": self.kept,
            "sha256": self.sha256,
            "base": self.base,
            "leave_one_out_before": self.before,
            "leave_one_out_after": self.after,
            "crops": self.crops,
            "clicks": self.clicks,
            "steps": self.steps,
            "seconds": round(self.seconds, 1),
            "losses": [round(one, 4) for one in self.losses],
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any], file: Path | None) -> AdaptOutcome:
        """What :meth:`to_dict` told, of an encoder that lies at `file` now.

        Raises
        ------
        KeyError, TypeError
            It is something else.
        """
        return cls(
            file=file if told["kept"] else None,
            sha256=told["sha256"],
            base=told["base"],
            before=told["leave_one_out_before"],
            after=told["leave_one_out_after"],
            crops=told["crops"],
            clicks=told["clicks"],
            steps=told["steps"],
            seconds=told["seconds"],
            losses=tuple(told["losses"]),
            notes=tuple(told["notes"]),
        )
