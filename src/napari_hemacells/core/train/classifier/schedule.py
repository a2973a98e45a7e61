"""Which layers learn when, and how fast: stages, layer groups, schedules. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn, optim

if TYPE_CHECKING:
    from napari_hemacells.core.encode.finetuned.network import Classifier
    from napari_hemacells.core.train.classifier.config import ClassifierConfig

WARM_SHARE = 0.3  # of one cycle goes up; a quarter would divide by zero in four steps
Group = list[nn.Parameter]


@dataclass(frozen=True)
class Stage:
    """Some epochs in which the same layers learn.

    Attributes
    ----------
    first_group
        Groups from this one on learn; the head is the last.
    vectors
        Whether the frozen body's answers are kept instead of computed anew.
    """

    name: str
    epochs: int
    first_group: int
    vectors: bool = False


def training_stages(recipe: ClassifierConfig, groups: int) -> list[Stage]:
    """Return the stages of a recipe for so many layer groups; none has zero epochs."""
    head = groups - 1
    cached = recipe.frozen_views > 0
    stages = [Stage("head", recipe.frozen_epochs, head, cached)]
    left = recipe.epochs
    if recipe.gradual:
        for first in range(head - 1, 0, -1):
            if left > 1:
                stages.append(Stage(f"last {groups - first} groups", 1, first))
                left -= 1
    stages.append(Stage("all groups", left, 0))
    return [stage for stage in stages if stage.epochs]


def layer_groups(network: Classifier, recipe: ClassifierConfig) -> list[Group]:
    """Return the parameters that may learn, earliest layers first, the head last."""
    blocks = network.embedder.trunk.blocks()[recipe.frozen_blocks :]
    head = network.head_parameters()
    if recipe.grouping == "layers":
        return [*blocks, head]
    half = len(blocks) // 2
    parts = (blocks[:half], blocks[half:])
    early, late = ([parameter for block in part for parameter in block] for part in parts)
    return [part for part in (early, late) if part] + [head]


def set_trainable(network: Classifier, groups: list[Group], first: int) -> None:
    """Let the groups from `first` on learn, and hold all other parameters still."""
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    for group in groups[first:]:
        for parameter in group:
            parameter.requires_grad_(True)


def train_mode(network: nn.Module) -> None:
    """Set training mode, but leave batch norms that do not learn with the statistics they have."""
    network.train()
    for layer in network.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001  # has no other name
            own = list(layer.parameters(recurse=False))
            if own and not any(parameter.requires_grad for parameter in own):
                layer.eval()


def group_rates(rate: float, groups: int, recipe: ClassifierConfig) -> list[float]:
    """Return the rate of each group: the head's, and lower by a factor for each one before."""
    return [rate * recipe.lower ** (groups - 1 - index) for index in range(groups)]


def body_rates(rate: float, groups: int, recipe: ClassifierConfig) -> list[float]:
    """Return the rates once the body learns: from the lowest to the highest, if they are given.

    Examples
    --------
    >>> recipe = ClassifierConfig(rate_low=1e-6, rate_high=1e-4)
    >>> body_rates(1e-3, 3, recipe)
    [1e-06, 1e-05, 0.0001]
    """
    rates = group_rates(rate, groups, recipe)
    low, high = recipe.rate_low, recipe.rate_high
    if low is None and high is None:
        return rates
    low, high = low or min(rates[0], high or rates[0]), high or max(rates[-1], low or rates[-1])
    steps = max(1, groups - 1)
    return [low * (high / low) ** (index / steps) for index in range(groups)]


def make_optimiser(
    groups: list[Group], first: int, rate: float, recipe: ClassifierConfig
) -> optim.Optimizer:
    """Return the recipe's optimiser with a rate for each group that learns."""
    frozen = first == len(groups) - 1
    rates = (group_rates if frozen else body_rates)(rate, len(groups), recipe)
    parts = [
        {"params": group, "lr": own}
        for index, (group, own) in enumerate(zip(groups, rates, strict=True))
        if index >= first
    ]
    kind = optim.Adam if recipe.optimiser == "adam" else optim.AdamW
    return kind(parts, weight_decay=recipe.weight_decay)


class LRSchedule:
    """One of torch's schedules, told of each step and each epoch.

    Parameters
    ----------
    frozen
        Whether the head alone learns: then all cycles of restarts are as long as the first.
    """

    def __init__(
        self,
        optimiser: optim.Optimizer,
        recipe: ClassifierConfig,
        *,
        epochs: int,
        steps: int,
        frozen: bool = False,
    ) -> None:
        rules = optim.lr_scheduler
        rates = [group["lr"] for group in optimiser.param_groups]
        self._kind = recipe.schedule
        self._rule: Any
        if recipe.schedule == "one-cycle":
            self._rule = rules.OneCycleLR(
                optimiser, rates, total_steps=max(2, epochs * steps), pct_start=WARM_SHARE
            )
        elif recipe.schedule == "restarts":
            self._rule = rules.CosineAnnealingWarmRestarts(
                optimiser,
                recipe.cycle_length * steps,
                1 if frozen else recipe.cycle_multiplier,
            )
        elif recipe.schedule == "plateau":
            self._rule = rules.ReduceLROnPlateau(
                optimiser, factor=recipe.plateau_factor, patience=recipe.plateau_patience
            )
        else:
            self._rule = rules.ConstantLR(optimiser, factor=1.0)
        self._left = max(2, epochs * steps) - 1

    def step(self) -> None:
        """A batch has been learned from."""
        if self._kind != "plateau" and self._left > 0:
            self._rule.step()
            self._left -= 1

    def epoch(self, loss: float) -> None:
        """An epoch has ended with this validation loss."""
        if self._kind == "plateau":
            self._rule.step(loss)

    def state(self) -> dict[str, Any]:
        """As plain values, for a checkpoint."""
        return {"rule": self._rule.state_dict(), "left": self._left}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._rule.load_state_dict(state["rule"])
        self._left = state["left"]
