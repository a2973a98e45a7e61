"""Recipes in plain words, and those of the theses that this project implements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.classifier.config import ClassifierConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

# What every preset of a thesis does otherwise than the thesis.
SHARED_DIFFERENCES = (
    "Parts are split by a hash of the pictures, whole patients together where known; the round "
    "with the least validation loss is kept unless said otherwise; gradients are clipped; crops "
    "are turned and zoomed in one resampling, reflected at the border; nothing warps a cell."
)


class ConfigPreset(NamedTuple):
    """A recipe and, in a sentence, what it is for.

    Attributes
    ----------
    differences
        What it does otherwise than the thesis, on purpose; empty for recipes of no thesis.
    """

    about: str
    recipe: ClassifierConfig
    differences: str = ""


CLASSIFIER_PRESETS: dict[str, ConfigPreset] = {
    "quick": ConfigPreset(
        "Minutes on a laptop: the bundled encoder, small crops, its first blocks kept.",
        ClassifierConfig(
            context=1.6,
            frozen_epochs=8,
            frozen_views=2,
            frozen_blocks=3,
            epochs=5,
            rate=2e-3,
            lower=0.4,
            smoothing=0.05,
            turns=4,
            tta=3,
        ),
    ),
    "thorough": ConfigPreset(
        "As good as it gets on a laptop in half an hour: the whole encoder learns.",
        ClassifierConfig(
            context=1.6,
            frozen_epochs=8,
            frozen_views=2,
            epochs=18,
            rate=2e-3,
            lower=0.5,
            smoothing=0.05,
            patience=6,
            turns=4,
            tta=7,
        ),
    ),
    "from nothing": ConfigPreset(
        "No pretrained weights at all: for pictures unlike any others, and for comparison.",
        ClassifierConfig(
            weights="none", frozen_epochs=0, epochs=60, rate=3e-3, lower=1.0, patience=15, tta=3
        ),
    ),
    "anomalies": ConfigPreset(
        "Red-cell anomalies: 20 rounds of the head, a second rate search after unfreezing, then 5 "
        "rounds at rates from 1e-6 to 1e-4; average and maximum pooled, 512, dropout 0.25 and "
        "0.5; mirrored, turned, zoomed to 1.1, brightness 0.2, three crops in four.",
        ClassifierConfig(
            arch="resnet34",
            size=224,
            head="concat",
            frozen_epochs=20,
            epochs=5,
            search_again=True,
            rate_low=1e-6,
            rate_high=1e-4,
            flips=True,
            rotation=180,
            zoom=1.1,
            brightness=0.2,
            stain=0.0,
            chance=0.75,
            batch=64,
            tta=4,
        ),
        "Turned by any angle, as a cell has no upper side; ResNet34 where the thesis compared "
        "eight networks (--compare does).",
    ),
    "resnet": ConfigPreset(
        "Normal blood cells with a ResNet: one cycle, the head first, then one layer group more a "
        "round (gradual unfreezing).",
        ClassifierConfig(
            arch="resnet34",
            size=224,
            frozen_epochs=1,
            epochs=10,
            gradual=True,
            stain=0.0,
            batch=64,
            tta=4,
        ),
        "Each opened group has a cycle of its own.",
    ),
    "vit": ConfigPreset(
        "Normal blood cells with a Vision Transformer: batch 64, 15 rounds, random crops of at "
        "least 0.75, layer-wise rates; vit-mixup is the same with MixUp and label smoothing.",
        ClassifierConfig(
            arch="vit_large_patch16_224",
            size=224,
            head="linear",
            frozen_epochs=0,
            epochs=15,
            grouping="layers",
            lower=0.75,
            crop_least=0.75,
            stain=0.0,
            batch=64,
        ),
        "Random crops keep their proportions: an oval cell stays as oval as it is.",
    ),
    "vit-mixup": ConfigPreset(
        "As vit, with MixUp and label smoothing 0.1.",
        ClassifierConfig(
            arch="vit_large_patch16_224",
            size=224,
            head="linear",
            frozen_epochs=0,
            epochs=15,
            grouping="layers",
            lower=0.75,
            crop_least=0.75,
            mix="mixup",
            smoothing=0.1,
            stain=0.0,
            batch=64,
        ),
        "Random crops keep their proportions: an oval cell stays as oval as it is.",
    ),
    "five-shot": ConfigPreset(
        "Five pictures a class: ResNet18, 224 pixels, mirrored both ways, all layers in one cycle "
        "of 16 rounds at rates from 1e-4 to 1e-3.",
        ClassifierConfig(
            arch="resnet18",
            size=224,
            frozen_epochs=0,
            epochs=16,
            rate=1e-3,
            rate_low=1e-4,
            rate_high=1e-3,
            flips=True,
            rotation=0,
            zoom=1.0,
            brightness=0.0,
            stain=0.0,
            shots=5,
            keep="last",
        ),
        "The last round is kept, as nothing is left to choose by; the validation part fits the "
        "confidence alone, and all other pictures test.",
    ),
    "thermograms": ConfigPreset(
        "Thermograms: batch 64; three rounds of the head with restarts, then rates 1e-4, 1e-3 and "
        "1e-2 in cosine cycles of 1, 2 and 4 rounds; seen from the front: mirrored left to right, "
        "turned by 10° at most, zoomed to 1.1, brightness and contrast 0.05; averages of copies.",
        ClassifierConfig(
            arch="resnet34",
            size=224,
            frozen_epochs=3,
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
            contrast=0.05,
            stain=0.0,
            batch=64,
            tta=4,
        ),
        "Frames of one patient stay in one part, which the thesis did not ask for; degrees become "
        "numbers at full precision.",
    ),
    "alive-dead": ConfigPreset(
        "Living and dead cells: the small VGG with batch normalisation from scratch; turned by "
        "15°, sheared by 0.1, zoomed by 0.2, moved by 0.1, mirrored; Adam whose "
        "rate falls on a plateau; stopped when 12 rounds bring nothing.",
        ClassifierConfig(
            arch="small_vgg_bn",
            weights="none",
            head="dense",
            frozen_epochs=0,
            epochs=50,
            rate=1e-3,
            lower=1.0,
            optimiser="adam",
            weight_decay=0.0,
            schedule="plateau",
            plateau_factor=0.5,
            plateau_patience=5,
            flips=True,
            rotation=15,
            shear=0.1,
            zoom=1.2,
            zoom_out=0.8,
            shift=0.1,
            brightness=0.0,
            stain=0.0,
            batch=32,
            patience=12,
        ),
        "Shear is sideways per height (Keras took 0.1 for a tenth of a degree, which is nothing).",
    ),
}


def preset_config(name: str, changes: Mapping[str, Any] | None = None) -> ClassifierConfig:
    """Return the recipe of that name, with some of its parameters changed.

    Hyphens, blanks and case make no difference to the name, nor does ``thesis`` before it.

    Raises
    ------
    TrainingError
        There is no such recipe, or a parameter is outside its bounds.

    Examples
    --------
    >>> preset_config("from-nothing", {"epochs": 3}).epochs
    3
    """
    known = {_plain(preset): preset for preset in CLASSIFIER_PRESETS}
    if _plain(name) not in known:
        raise TrainingError(
            f"There is no recipe “{name}”: choose one of {', '.join(CLASSIFIER_PRESETS)}."
        )
    base = CLASSIFIER_PRESETS[known[_plain(name)]].recipe
    try:
        return ClassifierConfig(**{**base.model_dump(), **(changes or {})})
    except ValidationError as error:
        first = error.errors()[0]
        where = first["loc"][0] if first["loc"] else "parameters"
        raise TrainingError(
            f"The recipe's “{where}” cannot be {first['input']!r}: {first['msg']}."
        ) from error


def _plain(name: str) -> str:
    plain = name.casefold().replace("-", " ").replace("_", " ").strip()
    return plain.removeprefix("thesis ")
