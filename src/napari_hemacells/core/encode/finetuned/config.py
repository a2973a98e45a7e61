"""The configuration of a fine-tuned network, without its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from napari_hemacells.core.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

QUARTER_TURNS: tuple[int, ...] = (1, 2, 4)  # 2: as it is and turned once
HeadKind: TypeAlias = Literal["concat", "linear", "dense"]


@dataclass(frozen=True)
class NetworkPlan:
    """A network without its weights.

    Attributes
    ----------
    arch
        ``bundled``, ``alexnet``, ``small_vgg``, or the name of a timm model.
    head
        ``concat``: average and maximum, batch norm, dropout, 512, ReLU, batch norm, dropout,
        classes. ``linear``: average, classes. ``dense``: average, 1024, 512, classes, as the small
        VGG has it.
    size
        Side of the pictures in pixels.
    mean, std
        Of the three colours, pictures in 0 to 1.
    late
        Whether its vectors end with the means of a late stage of the body, by which unknown cells
        are told better than by what is made for the classes alone; only of ``bundled``, not in
        old models.
    turns
        Over how many quarter turns of a picture its vectors are averaged when it is used; 1 in
        old models.
    """

    arch: str
    head: HeadKind
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    late: bool = False
    turns: int = 1

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON; ``late`` and ``turns`` only where set, as earlier versions wrote it."""
        content = asdict(self) | {"mean": list(self.mean), "std": list(self.std)}
        if not self.late:
            del content["late"]
        if self.turns == 1:
            del content["turns"]
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> NetworkPlan:
        """Return the configuration stored in this JSON.

        Raises
        ------
        BundleError
            If something is missing or unknown.
        """
        try:
            mean, std = (_three(content[key]) for key in ("mean", "std"))
            late = bool(content.get("late", False))
            turns = int(content.get("turns", 1))
            plan = cls(
                str(content["arch"]), content["head"], int(content["size"]), mean, std, late, turns
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(
                f"The description of the model's network is incomplete ({error!r})."
            ) from error
        if plan.head not in get_args(HeadKind) or plan.turns not in QUARTER_TURNS:
            raise BundleError("This version does not know the model's kind of network: update it.")
        return plan


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    """Return one number per colour; ValueError for more or fewer."""
    red, green, blue = (float(value) for value in values)
    return red, green, blue
