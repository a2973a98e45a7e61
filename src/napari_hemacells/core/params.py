"""Every parameter once: default, bounds, title, help.

The forms in the dock and the options of the command line are both built from these models
(:mod:`napari_hemacells.widgets.forms`, :mod:`napari_hemacells.cli.options`).
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # pydantic reads the hint
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator

from napari_hemacells.core import encoder_names

DeviceName: TypeAlias = Literal["auto", "cpu", "cuda", "mps"]
DetectorName: TypeAlias = Literal["learned", "classical"]
HeadName: TypeAlias = Literal["auto", "prototype", "linear", "knn"]
QueueOrder: TypeAlias = Literal["uncertain", "active", "sure", "unknown", "class", "slide"]
ViewName: TypeAlias = Literal["frontal", "right-45", "right-90", "left-45", "left-90", "any"]
ProtocolName: TypeAlias = Literal["any", "dynamic", "static"]


class Params(BaseModel):
    """A frozen set of parameters of one step; an invalid value is refused with its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DetectParams(Params):
    """Parameters of finding cells in stained smears."""

    method: DetectorName = Field(
        default="learned",
        title="Detector",
        description=(
            "learned: a small network, knows red cells, white cells and platelets and keeps "
            "overlapping cells apart. classical: colour and round outlines, nothing learned; for "
            "stains in which the network misses cells, and to compare."
        ),
    )

    cell_diameter: float | None = Field(
        default=None,
        gt=2,
        le=2000,
        title="Cell diameter (px)",
        description="Typical diameter of a red cell in pixels. Empty: estimated from the image.",
    )
    cell_diameter_um: float | None = Field(
        default=None,
        gt=0.5,
        le=200,
        title="Cell diameter (µm)",
        description="The same in micrometres (a red cell has about 7.5); needs the pixel size.",
    )
    pixel_size_um: float | None = Field(
        default=None,
        gt=0.001,
        le=100,
        title="Pixel size (µm)",
        description="Micrometres a pixel. Empty: taken from the image where it says so.",
    )
    sensitivity: float = Field(
        default=0.5,
        ge=0,
        le=1,
        title="Sensitivity",
        description=(
            "0.5: fewest errors, missed and false cells together, on fields in which every cell "
            "is marked. Higher finds more pale, small and covered cells, and more false ones; "
            "lower finds only clear ones."
        ),
    )
    weights: Path | None = Field(
        default=None,
        title="Weights",
        description=(
            "A fine-tuned detector (.safetensors) instead of the bundled one; only for the "
            "learned detector."
        ),
    )

    @field_serializer("weights")
    def _as_text(self, weights: Path | None) -> str | None:
        return None if weights is None else str(weights)


class TrainingParams(Params):
    """What every training has; its own parameters come before these.

    The order is that of forms, options and files: a checkpoint knows its training by it.
    """

    LAST: ClassVar[tuple[str, ...]] = ("seed", "device")

    seed: int = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        title="Seed",
        description="The same seed gives the same training.",
    )
    device: DeviceName = Field(
        default="auto",
        title="Device",
        description="Where the network learns. auto: a GPU if there is one, otherwise the CPU.",
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Put what a subclass inherits behind what it declares."""
        super().__pydantic_init_subclass__(**kwargs)
        fields = cls.model_fields
        for name in cls.LAST:
            fields[name] = fields.pop(name)
        cls.model_rebuild(force=True)


class TrainDetectorParams(TrainingParams):
    """Parameters of fine-tuning the learned detector on corrected fields."""

    steps: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        title="Steps",
        description="Batches to learn from. Empty: as many as one to three minutes allow.",
    )
    rate: float = Field(
        default=4e-4,
        gt=0,
        le=0.1,
        title="Learning rate",
        description="How far a step goes; lower keeps more of what the detector knows.",
    )
    batch_size: int = Field(
        default=8,
        ge=1,
        le=256,
        title="Batch size",
        description="Crops a step; halved by itself where the memory is too small.",
    )


class AdaptParams(TrainingParams):
    """Parameters of adapting an encoder to the user's own cells, without labels (SimCLR)."""

    steps: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        title="Steps",
        description="Batches to learn from. Empty: each cell five times, 40 to 200 batches.",
    )
    rate: float = Field(
        default=1e-4,
        gt=0,
        le=0.1,
        title="Learning rate",
        description="How far a step goes; lower keeps more of what the encoder knows.",
    )
    temperature: float = Field(
        default=0.2,
        gt=0.01,
        le=5,
        title="Temperature",
        description="How much the most similar other cells count; lower: only those.",
    )
    batch_size: int = Field(
        default=64,
        ge=8,
        le=4096,
        title="Batch size",
        description="Cells a step, each seen twice; halved by itself where the memory is small.",
    )


class NetworkParams(Params):
    """Parameters of running a network whose model says which it is."""

    device: DeviceName = Field(
        default="auto",
        title="Device",
        description="Where the network runs. auto: a GPU if there is one, otherwise the CPU.",
    )
    batch_size: int = Field(
        default=32, ge=1, le=1024, title="Batch size", description="Crops a network call."
    )


class EncodeParams(NetworkParams):
    """Parameters of looking at cells where no model says with which network."""

    encoder: str = Field(
        default=encoder_names.DEFAULT,
        title="Look at cells with",
        description=(
            "The network that looks at the cells: bundled (trained on blood), bundled-4-turns "
            "(the same, slower, a little surer), imagenet, timm:NAME, dinobloom-s, "
            "reddino-small, file:PATH?arch=NAME, adapted:PATH, untrained:NAME."
        ),
    )

    @field_validator("encoder")
    @classmethod
    def _known(cls, name: str) -> str:
        reason = encoder_names.invalid_name_reason(name)
        if reason:
            raise ValueError(reason)
        return name


class ClassifyParams(Params):
    """Parameters of the few-shot classifier."""

    head: HeadName = Field(
        default="auto",
        title="Head",
        description=(
            "auto: linear, unless another recognises your own clicks better. linear: a weighted "
            "sum a class. prototype: the nearest class mean. knn: the nearest clicked cells."
        ),
    )
    unlabelled: bool = Field(
        default=True,
        title="Learn from cells without a click",
        description="What looks like a clicked cell teaches a little; helps most at few clicks.",
    )
    measured: bool = Field(
        default=False,
        title="Also use size, colour, nucleus share",
        description=(
            "Measured on each cell and given to the classifier beside what the network sees; of "
            "a thermogram size and temperature. For classes that differ in these alone."
        ),
    )


class SelectParams(Params):
    """Parameters of choosing the thermograms of a study."""

    view: ViewName = Field(
        default="frontal",
        title="View",
        description="From where the camera looked; right and left are the patient's.",
    )
    protocol: ProtocolName = Field(
        default="any",
        title="Protocol",
        description="dynamic: a series while the skin warms up again. static: single frames.",
    )
    keep_deodorant: bool = Field(
        default=False,
        title="With deodorant too",
        description="Keep patients of whom the table says that they wore deodorant.",
    )
    keep_single_breast: bool = Field(
        default=False,
        title="With a single breast too",
        description="Keep patients of whom the table says so, or speaks of a mastectomy.",
    )
    sharpness: float = Field(
        default=1.25,
        ge=0,
        le=5,
        title="Sharpness",
        description=(
            "Frames whose edges are less steep are left out as blurred, and listed: 1.6 is "
            "usual, 1.1 far out of focus. 0 keeps all."
        ),
    )
    balanced: bool = Field(
        default=True,
        title="As many of each class",
        description="Draw the same number of frames of each class at random.",
    )
    per_class: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        title="Frames of each class",
        description="How many are drawn. Empty: as many as the smallest class has.",
    )
    seed: int = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        title="Seed",
        description="The same seed draws the same frames.",
    )
