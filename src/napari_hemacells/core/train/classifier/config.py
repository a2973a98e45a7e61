"""Every parameter of a training once: default, bounds, title, help.

The named recipes are in :mod:`.presets`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from napari_hemacells.core.params import TrainingParams
from napari_hemacells.core.types import (  # noqa: TC001  # pydantic reads the hint
    TemperatureScaling,
)

HeadName: TypeAlias = Literal["auto", "concat", "linear", "dense"]
ScheduleName: TypeAlias = Literal["one-cycle", "restarts", "plateau", "constant"]
Grouping: TypeAlias = Literal["three", "layers"]
Mix: TypeAlias = Literal["none", "mixup", "cutmix"]
Sampling: TypeAlias = Literal["none", "balanced", "oversample", "weights"]
Precision: TypeAlias = Literal["auto", "fp32", "bf16"]
ColormapName: TypeAlias = Literal["grey", "inferno", "magma", "viridis", "turbo", "jet"]
OptimiserName: TypeAlias = Literal["adamw", "adam"]
CheckpointSelection: TypeAlias = Literal["best", "last"]


class ClassifierConfig(TrainingParams):
    """How a classifier is trained."""

    LAST = (*TrainingParams.LAST, "precision", "memory_mb")

    arch: str = Field(
        default="bundled",
        title="Architecture",
        description=(
            "bundled (the encoder that comes with the package), small_vgg, small_vgg_bn (with "
            "batch normalisation), alexnet, or any model of timm: resnet18, vgg16, densenet121, "
            "vit_base_patch16_224 …"
        ),
    )
    weights: str = Field(
        default="auto",
        title="Starting weights",
        description=(
            "auto: the bundled ones, or those of the model hub; refused where they cannot be "
            "had. bundled, blood-2. imagenet: the same network before it saw blood. hub. none: "
            "from scratch. Or a local .safetensors or .pth file, an encoder that was adapted to "
            "your own cells, or the folder of a model of your own: its architecture and body are "
            "taken, and its head where the classes are the same."
        ),
    )
    head: HeadName = Field(
        default="auto",
        title="Head",
        description=(
            "auto: dense for the small VGGs, concat for all others. concat: average and maximum, "
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
    search_again: bool = Field(
        default=False,
        title="Search again",
        description=(
            "A second short search when the body begins to learn. Its rate is taken from then on, "
            "unless lowest and highest rate are given; its curve is in the report."
        ),
    )
    rate_low: float | None = Field(
        default=None,
        gt=0,
        le=10,
        title="Lowest rate",
        description="Of the first layer group once the body learns. Empty: rate and factor.",
    )
    rate_high: float | None = Field(
        default=None,
        gt=0,
        le=10,
        title="Highest rate",
        description="Of the head once the body learns; groups between are spaced evenly (log).",
    )
    optimiser: OptimiserName = Field(
        default="adamw",
        title="Optimiser",
        description="adamw: Adam with decoupled weight decay. adam: as in older papers.",
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
        description="Epochs of the first cycle, and of each while the body is frozen (restarts).",
    )
    cycle_multiplier: int = Field(
        default=2,
        ge=1,
        le=10,
        title="Cycle multiplier",
        description="How much longer each cycle is than the one before (restarts).",
    )
    plateau_factor: float = Field(
        default=0.3,
        gt=0,
        lt=1,
        title="Plateau factor",
        description="What the rate is multiplied by when the validation loss stays (plateau).",
    )
    plateau_patience: int = Field(
        default=2,
        ge=0,
        le=1000,
        title="Plateau patience",
        description="Rounds that the validation loss may stay before that (plateau).",
    )
    weight_decay: float = Field(
        default=0.01, ge=0, le=1, title="Weight decay", description="Of the optimiser."
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
    zoom_out: float = Field(
        default=1.0,
        ge=0.5,
        le=1,
        title="Zoom out",
        description="Make smaller down to this factor.",
    )
    shear: float = Field(
        default=0.0,
        ge=0,
        le=1,
        title="Shear",
        description="Slant by up to so much: sideways per height, 0.1 is about 6°.",
    )
    shift: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        title="Shift",
        description="Move by up to this part of the side.",
    )
    crop_least: float = Field(
        default=1.0,
        ge=0.1,
        le=1,
        title="Random crops",
        description="Take a random part of at least this share of the area. 1: all of it.",
    )
    brightness: float = Field(
        default=0.2, ge=0, le=0.9, title="Brightness", description="Brighter or darker by so much."
    )
    contrast: float = Field(
        default=0.0,
        ge=0,
        le=0.9,
        title="Contrast",
        description="More or less contrast by so much.",
    )
    chance: float = Field(
        default=1.0,
        gt=0,
        le=1,
        title="Changed crops",
        description=(
            "Share of the crops that are turned, zoomed, slanted or moved, and (drawn anew) of "
            "those that get another brightness, contrast or stain. Mirroring is not meant."
        ),
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
    shots: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        title="Pictures a class",
        description=(
            "Learn from so many of each class only; those left over from the training part test. "
            "Empty: from all."
        ),
    )
    label_pattern: str = Field(
        default="",
        title="Class from the file name",
        description=(
            "A regular expression; what its first group finds in a file's name is the class, such "
            "as ^([A-Z]+)_ for PBC's 13 sub-classes. Empty: the class folder or the column."
        ),
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
    turns: Literal[1, 2, 4] = Field(
        default=1,
        title="Quarter turns",
        description=(
            "The trained model looks at each cell turned so many times and takes the mean: surer, "
            "and as many times slower. 1 for pictures with an upper side."
        ),
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
