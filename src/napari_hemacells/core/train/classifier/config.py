"""Every parameter of a training once: default, bounds, title, help.

Recipes in plain words, and those of the theses that this project implements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from pydantic import Field, ValidationError

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.params import TrainingParams
from napari_hemacells.core.types import (  # noqa: TC001  # pydantic reads the hint
    TemperatureScaling,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

HeadName: TypeAlias = Literal["auto", "concat", "linear", "dense"]
ScheduleName: TypeAlias = Literal["one-cycle", "restarts", "plateau", "constant"]
Grouping: TypeAlias = Literal["three", "layers"]
Mix: TypeAlias = Literal["none", "mixup", "cutmix"]
Sampling: TypeAlias = Literal["none", "balanced", "oversample", "weights"]
Precision: TypeAlias = Literal["auto", "fp32", "bf16"]
ColormapName: TypeAlias = Literal["grey", "inferno", "magma", "viridis", "turbo", "jet"]
CheckpointSelection: TypeAlias = Literal["best", "last"]


class ClassifierConfig(TrainingParams):
    """How a classifier is trained."""

    LAST = (*TrainingParams.LAST, "precision", "memory_mb")

    arch: str = Field(
        default="bundled",
        title="Architecture",
        description=(
            "bundled (the encoder that comes with the package), small_vgg, alexnet, or any model "
            "of timm: resnet18, vgg16, densenet121, vit_base_patch16_224 …"
        ),
    )
    weights: str = Field(
        default="auto",
        title="Starting weights",
        description=(
            "auto: the bundled ones, or those of the model hub; refused where they cannot be "
            "had. bundled. imagenet: the same network before it saw blood. hub. none: from "
            "scratch. Or a local .safetensors or .pth file."
        ),
    )
    head: HeadName = Field(
        default="auto",
        title="Head",
        description=(
            "auto: dense for small_vgg, concat for all others. concat: average and maximum, "
            "batch norm and dropout, 512, classes. linear: average, "
            "classes. dense: 1024, 512, classes; one sigmoid where there are two."
        ),
    )
    size: int | None = Field(
        default=None,
        ge=16,
        le=1024,
        title="Picture side (px)",
        description="Side of the crops that the network sees. Empty: that of the architecture.",
    )
    context: float | None = Field(
        default=None,
        ge=1,
        le=4,
        title="Margin",
        description=(
            "Side of the square that is learned from, divided by the typical size of a cell: the "
            "middle of the pictures is cut so. Empty: whole pictures."
        ),
    )
    degrees: TemperatureScaling = Field(
        default="fixed",
        title="Degrees",
        description=(
            "Of thermograms, what becomes black and white. fixed: 0 and 40 °C. range: the "
            "frame's coldest and hottest pixel. torso: nearly all of the patient's own body."
        ),
    )
    palette: ColormapName = Field(
        default="grey",
        title="Colours of degrees",
        description="In which colours the network sees thermograms; floats, never bytes.",
    )
    frozen_epochs: int = Field(
        default=2,
        ge=0,
        le=1000,
        title="Epochs with a frozen body",
        description="Rounds in which only the new head learns.",
    )
    frozen_views: int = Field(
        default=0,
        ge=0,
        le=64,
        title="Views kept of a frozen body",
        description=(
            "While the body is frozen, its answer to so many augmented copies of each crop is "
            "kept and used again, which is many times faster. 0: new copies in every round."
        ),
    )
    epochs: int = Field(
        default=10,
        ge=0,
        le=10000,
        title="Epochs with the body",
        description="Rounds in which the body learns too.",
    )
    gradual: bool = Field(
        default=False,
        title="Unfreeze gradually",
        description="Open one layer group a round, the last first, instead of all at once.",
    )
    frozen_blocks: int = Field(
        default=0,
        ge=0,
        le=200,
        title="First blocks kept",
        description="So many first blocks never learn: faster, and their edges are good already.",
    )
    grouping: Grouping = Field(
        default="three",
        title="Layer groups",
        description="three: early body, late body, head. layers: every block is a group.",
    )
    lower: float = Field(
        default=0.1,
        gt=0,
        le=1,
        title="Rate of an earlier group",
        description="What each group's rate is multiplied by for the one before it.",
    )
    rate: float | None = Field(
        default=None,
        gt=0,
        le=10,
        title="Learning rate",
        description="Of the head. Empty: found by a short search.",
    )
    search: bool = Field(
        default=False,
        title="Search all the same",
        description="Do the short search, and write its curve, even where the rate is given.",
    )
    schedule: ScheduleName = Field(
        default="one-cycle",
        title="Schedule",
        description=(
            "one-cycle: up and down once. restarts: cosine with warm restarts. plateau: lower "
            "when the validation loss stays. constant."
        ),
    )
    cycle_length: int = Field(
        default=1,
        ge=1,
        le=1000,
        title="Cycle length",
        description="Epochs of the first cycle (restarts).",
    )
    cycle_multiplier: int = Field(
        default=2,
        ge=1,
        le=10,
        title="Cycle multiplier",
        description="How much longer each cycle is than the one before (restarts).",
    )
    weight_decay: float = Field(
        default=0.01, ge=0, le=1, title="Weight decay", description="Of AdamW."
    )
    flips: bool = Field(default=True, title="Flips", description="Mirror both ways at random.")
    upright: bool = Field(
        default=False,
        title="Upright pictures",
        description="Mirror left to right only: for bodies, which are never upside down.",
    )
    rotation: float = Field(
        default=180.0,
        ge=0,
        le=180,
        title="Rotation (°)",
        description="Turn by up to so much either way; 180 is any rotation.",
    )
    zoom: float = Field(
        default=1.1, ge=1, le=2, title="Zoom", description="Enlarge by up to this factor."
    )
    brightness: float = Field(
        default=0.2, ge=0, le=0.9, title="Brightness", description="Brighter or darker by so much."
    )
    stain: float = Field(
        default=0.1,
        ge=0,
        le=0.9,
        title="Stain",
        description="Strength of each stain up or down by so much.",
    )
    mix: Mix = Field(
        default="none",
        title="Mix",
        description="mixup: blend two crops. cutmix: paste a part of one into another.",
    )
    mix_alpha: float = Field(
        default=0.4, gt=0, le=10, title="Mix strength", description="Of the Beta distribution."
    )
    smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        title="Label smoothing",
        description="Share of each label that is spread over all classes.",
    )
    sampling: Sampling = Field(
        default="none",
        title="Rare classes",
        description=(
            "none: as they come. balanced: each class as often, in as many crops a round. "
            "oversample: rare ones repeated until all are as many. weights: in the loss."
        ),
    )
    validation: float = Field(
        default=0.2,
        gt=0,
        lt=0.9,
        title="Validation share",
        description="Part that is not learned from and by which the best round is chosen.",
    )
    test: float = Field(
        default=0.0,
        ge=0,
        lt=0.9,
        title="Test share",
        description="Part that is looked at once, at the end.",
    )
    ungrouped: bool = Field(
        default=False,
        title="Ignore groups",
        description="Split cell by cell even where patient, slide or image are known.",
    )
    tta: int = Field(
        default=0,
        ge=0,
        le=32,
        title="Test-time augmentation",
        description="Augmented copies whose answers are averaged with the crop's own.",
    )
    patience: int = Field(
        default=0,
        ge=0,
        le=1000,
        title="Patience",
        description="Stop when so many rounds bring nothing on validation. 0: never.",
    )
    keep: CheckpointSelection = Field(
        default="best",
        title="Keep",
        description="best: the weights of the round with the least validation loss. last.",
    )
    batch: int = Field(default=32, ge=2, le=4096, title="Batch size", description="Crops a step.")
    precision: Precision = Field(
        default="auto",
        title="Precision",
        description="auto: bf16 on a GPU that has it, otherwise fp32 (bf16 is slower on a CPU).",
    )
    memory_mb: int = Field(
        default=2048,
        ge=16,
        le=2**20,
        title="Memory for crops (MB)",
        description="Decoded crops are kept up to this; the others are read anew each round.",
    )


class ConfigPreset(NamedTuple):
    """A recipe and, in a sentence, what it is for."""

    about: str
    recipe: ClassifierConfig


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
            tta=7,
        ),
    ),
    "from nothing": ConfigPreset(
        "No pretrained weights at all: for pictures unlike any others, and for comparison.",
        ClassifierConfig(
            weights="none", frozen_epochs=0, epochs=60, rate=3e-3, lower=1.0, patience=15, tta=3
        ),
    ),
    "thesis-anomalies": ConfigPreset(
        "Red-cell anomalies: 224 pixels, found rate, frozen then three groups a factor 10 apart.",
        ClassifierConfig(
            arch="resnet34", size=224, frozen_epochs=4, epochs=10, stain=0.0, batch=64, tta=4
        ),
    ),
    "thesis-resnet": ConfigPreset(
        "Normal blood cells with a ResNet: one cycle, frozen then unfrozen.",
        ClassifierConfig(
            arch="resnet34", size=224, frozen_epochs=1, epochs=10, stain=0.0, batch=64, tta=4
        ),
    ),
    "thesis-vit": ConfigPreset(
        "Normal blood cells with a Vision Transformer: MixUp, label smoothing, layer-wise rates.",
        ClassifierConfig(
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
    "thesis-thermograms": ConfigPreset(
        "Thermograms: three cosine cycles, each twice as long; rates 1e-4, 1e-3 and 1e-2; seen "
        "from the front: mirrored left to right, turned by 10° at most, zoomed by 1.1.",
        ClassifierConfig(
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


def preset_config(name: str, changes: Mapping[str, Any] | None = None) -> ClassifierConfig:
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
        raise TrainingError(
            f"The recipe's “{first['loc'][0]}” cannot be {first['input']!r}: {first['msg']}."
        ) from error


def _plain(name: str) -> str:
    return name.casefold().replace("-", " ").replace("_", " ").strip()
