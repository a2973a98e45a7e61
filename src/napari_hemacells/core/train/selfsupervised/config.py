"""What the child process does: look at the clicks, learn without labels, look again, decide.

Imports torch inside functions only, so that a front end can name the job.

What came of adapting an encoder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path  # noqa: TC003  # pydantic reads the hint
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.params import AdaptParams

if TYPE_CHECKING:
    from collections.abc import Mapping

LIGHTLY_MISSING = (
    "Adapting needs the library lightly, which is not installed: "
    'pip install "napari-hemacells[adapt]".'
)
EPOCHS, LEAST_STEPS, MOST_STEPS = 5, 40, 200


@dataclass(frozen=True)
class AdaptJob:
    """One adaptation.

    Attributes
    ----------
    folder
        Holds the crops and, while it runs, the checkpoint.
    out
        The file for the encoder.
    base
        Name of the encoder to start from.
    judged
        Whether the clicks decide; otherwise it is kept whatever they say.
    """

    folder: Path
    out: Path
    params: AdaptParams = field(default_factory=AdaptParams)
    base: str = "bundled"
    decided_by_clicks: bool = True


def default_steps(crops: int, batch: int) -> int:
    """Return how many batches: each crop five times, within 40 and 200 batches.

    Examples
    --------
    >>> default_steps(2000, 64), default_steps(100, 64), default_steps(20000, 64)
    (157, 40, 200)
    """
    return min(MOST_STEPS, max(LEAST_STEPS, -(-EPOCHS * crops // batch)))


def check_installed() -> None:
    """Raise where lightly is not installed.

    Raises
    ------
    TrainingError
        With the command that installs it.
    """
    if find_spec("lightly") is None:
        raise TrainingError(LIGHTLY_MISSING)


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

    def format_summary(self) -> str:
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
            "losses": [round(loss, 4) for loss in self.losses],
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], file: Path | None) -> AdaptOutcome:
        """What :meth:`to_dict` told, of an encoder that lies at `file` now.

        Raises
        ------
        ValueError, KeyError, TypeError
            It is something else.
        """
        given = {name: values[name] for name in _AS_TOLD}
        return _OUTCOME.validate_python(
            {
                **given,
                "file": file if values["kept"] else None,
                "before": values["leave_one_out_before"],
                "after": values["leave_one_out_after"],
            }
        )


_AS_TOLD = ("sha256", "base", "crops", "clicks", "steps", "seconds", "losses", "notes")
_OUTCOME = TypeAdapter(AdaptOutcome)
