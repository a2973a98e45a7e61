"""Recipes in plain words, and those of the theses that this project implements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.classifier.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping


class NamedRecipe(NamedTuple):
    """A recipe and, in a sentence, what it is for."""

    about: str
    recipe: Recipe


RECIPES: dict[str, NamedRecipe] = {
    "quick": NamedRecipe(
        "Minutes on a laptop: the bundled encoder, small crops, its first blocks kept.",
        Recipe(
            context=1.6,
            frozen_epochs=8,
            frozen_views=2,
            frozen_blocks=3,
            epochs=5,
            rate=2e-3,
            lower=0.4,
            smoothing=0.05,
            tta=3,
        ),
    ),
    "thorough": NamedRecipe(
        "As good as it gets on a laptop in half an hour: the whole encoder learns.",
        Recipe(
            context=1.6,
            frozen_epochs=8,
            frozen_views=2,
            epochs=18,
            rate=2e-3,
            lower=0.5,
            smoothing=0.05,
            patience=6,
            tta=7,
        ),
    ),
    "from nothing": NamedRecipe(
        "No pretrained weights at all: for pictures unlike any others, and for comparison.",
        Recipe(
            weights="none", frozen_epochs=0, epochs=60, rate=3e-3, lower=1.0, patience=15, tta=3
        ),
    ),
    "thesis-anomalies": NamedRecipe(
        "Red-cell anomalies: 224 pixels, found rate, frozen then three groups a factor 10 apart.",
        Recipe(arch="resnet34", size=224, frozen_epochs=4, epochs=10, stain=0.0, batch=64, tta=4),
    ),
    "thesis-resnet": NamedRecipe(
        "Normal blood cells with a ResNet: one cycle, frozen then unfrozen.",
        Recipe(arch="resnet34", size=224, frozen_epochs=1, epochs=10, stain=0.0, batch=64, tta=4),
    ),
    "thesis-vit": NamedRecipe(
        "Normal blood cells with a Vision Transformer: MixUp, label smoothing, layer-wise rates.",
        Recipe(
            arch="vit_large_patch16_224",
            size=224,
            head="linear",
            frozen_epochs=1,
            epochs=10,
            grouping="layers",
            lower=0.75,
            mix="mixup",
            smoothing=0.1,
            stain=0.0,
            batch=16,
        ),
    ),
    "thesis-thermograms": NamedRecipe(
        "Thermograms: three cosine cycles, each twice as long; rates 1e-4, 1e-3 and 1e-2; seen "
        "from the front: mirrored left to right, turned by 10° at most, zoomed by 1.1.",
        Recipe(
            arch="resnet34",
            size=224,
            frozen_epochs=1,
            epochs=7,
            rate=1e-2,
            search=True,
            lower=0.1,
            schedule="restarts",
            cycle_length=1,
            cycle_multiplier=2,
            upright=True,
            rotation=10,
            zoom=1.1,
            brightness=0.05,
            stain=0.0,
            batch=32,
            tta=4,
        ),
    ),
}


def named_recipe(name: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Return the recipe of that name, with some of its parameters changed.

    Hyphens, blanks and case make no difference to the name.

    Raises
    ------
    TrainingError
        There is no such recipe, or a parameter is outside its bounds.

    Examples
    --------
    >>> named_recipe("from-nothing", {"epochs": 3}).epochs
    3
    """
    known = {_plain(one): one for one in RECIPES}
    if _plain(name) not in known:
        raise TrainingError(f"There is no recipe “{name}”: choose one of {', '.join(RECIPES)}.")
    base = RECIPES[known[_plain(name)]].recipe
    try:
        return Recipe(**{**base.model_dump(), **(changes or {})})
    except ValidationError as error:
        first = error.errors()[0]
        raise TrainingError(
            f"The recipe's “{first['loc'][0]}” cannot be {first['input']!r}: {first['msg']}."
        ) from error


def _plain(name: str) -> str:
    return name.casefold().replace("-", " ").replace("_", " ").strip()
