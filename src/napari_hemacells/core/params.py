"""The parameters of every step: default, bounds, title and help text, each declared once.

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
SiameseNetworkName: TypeAlias = Literal["distance", "head", "tuned", "thesis"]
SiameseLossName: TypeAlias = Literal["contrastive", "triplet", "multi-similarity"]
QueueOrder: TypeAlias = Literal["uncertain", "active", "rare", "sure", "unknown", "class", "slide"]
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
            "learned: a small network that finds red cells, white cells and platelets and "
            "separates overlapping cells. classical: colour thresholds and round outlines, not "
            "trained; for stains in which the network misses cells, and for comparison."
        ),
    )

    cell_diameter: float | None = Field(
        default=None,
        gt=2,
        le=2000,
        title="Cell diameter (px)",
        description="Typical diameter of a red cell, in pixels. Empty: estimated from the image.",
    )
    cell_diameter_um: float | None = Field(
        default=None,
        gt=0.5,
        le=200,
        title="Cell diameter (µm)",
        description=(
            "Typical diameter of a red cell, in micrometres (about 7.5 on a smear). The pixel "
            "size must be known."
        ),
    )
    pixel_size_um: float | None = Field(
        default=None,
        gt=0.001,
        le=100,
        title="Pixel size (µm)",
        description="Micrometres per pixel. Empty: as the image file states it.",
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
            "A fine-tuned detector (.safetensors) in place of the bundled one. Applies to the "
            "learned detector only."
        ),
    )

    @field_serializer("weights")
    def _as_text(self, weights: Path | None) -> str | None:
        return None if weights is None else str(weights)


class TrainingParams(Params):
    """Parameters of every training; those of one kind of training come before these.

    The order is that of forms, options and files: a checkpoint knows its training by it.
    """

    LAST: ClassVar[tuple[str, ...]] = ("seed", "device")

    seed: int = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        title="Seed",
        description="Start of the random numbers. The same seed gives the same training.",
    )
    device: DeviceName = Field(
        default="auto",
        title="Device",
        description="Where training runs. auto: a GPU if there is one, otherwise the CPU.",
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
        description=(
            "Number of training steps, one batch each. Empty: as many as fit in one to three "
            "minutes."
        ),
    )
    rate: float = Field(
        default=4e-4,
        gt=0,
        le=0.1,
        title="Learning rate",
        description="Size of a training step. Lower values change the detector less.",
    )
    batch_size: int = Field(
        default=8,
        ge=1,
        le=256,
        title="Batch size",
        description="Crops per training step. Halved automatically if memory runs out.",
    )


class AdaptParams(TrainingParams):
    """Parameters of adapting an encoder to the user's own cells, without labels (SimCLR)."""

    steps: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        title="Steps",
        description=(
            "Number of training steps, one batch each. Empty: enough to see each cell five times, "
            "between 40 and 200."
        ),
    )
    rate: float = Field(
        default=1e-4,
        gt=0,
        le=0.1,
        title="Learning rate",
        description="Size of a training step. Lower values change the encoder less.",
    )
    temperature: float = Field(
        default=0.2,
        gt=0.01,
        le=5,
        title="Temperature",
        description=(
            "Temperature of the contrastive loss. Lower values give more weight to the most "
            "similar other cells."
        ),
    )
    batch_size: int = Field(
        default=64,
        ge=8,
        le=4096,
        title="Batch size",
        description=(
            "Cells per training step, each seen in two variants. Halved automatically if memory "
            "runs out."
        ),
    )


class SiameseParams(TrainingParams):
    """Parameters of training a siamese network on annotated cells."""

    network: SiameseNetworkName = Field(
        default="distance",
        title="Network",
        description=(
            "What learns. distance: only a distance of the encoder's vectors (seconds). head: a "
            "small network on the encoder's vectors. tuned: the encoder's last layers as well. "
            "thesis: a small network from scratch on grey pictures of 100 × 100."
        ),
    )
    loss: SiameseLossName = Field(
        default="contrastive",
        title="Loss",
        description=(
            "contrastive: pairs of one kind are drawn together, others apart up to the margin. "
            "triplet and multi-similarity compare all cells of a batch (extra siamese)."
        ),
    )
    margin: float | None = Field(
        default=None,
        gt=0,
        le=100,
        title="Margin",
        description=(
            "Distance beyond which different kinds are left alone. Empty: 2 for the thesis' "
            "network, otherwise 1 (contrastive) or 0.1 (triplet)."
        ),
    )
    epochs: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        title="Epochs",
        description="How often each cell is drawn. Empty: 250; 30 for tuned.",
    )
    rate: float = Field(
        default=5e-4,
        gt=0,
        le=0.1,
        title="Learning rate",
        description="Size of a training step (Adam).",
    )
    batch_size: int = Field(
        default=32,
        ge=2,
        le=4096,
        title="Batch size",
        description=(
            "Pairs per training step, half of them of one kind. Halved automatically if memory "
            "runs out."
        ),
    )
    threshold: str = Field(
        default="equal-error",
        title="Threshold",
        description=(
            "Up to which distance two cells are called the same kind. equal-error: as many wrong "
            "among the same as among different ones. youden: fewest errors in sum. A number, "
            "such as 0.05: the share of different pairs that may be called the same."
        ),
    )

    @field_validator("threshold")
    @classmethod
    def _known_rule(cls, rule: str) -> str:
        if rule not in {"equal-error", "youden"}:
            try:
                fits = 0 <= float(rule) <= 1
            except ValueError:
                fits = False
            if not fits:
                raise ValueError("equal-error, youden, or a share between 0 and 1 is needed")
        return rule


class NetworkParams(Params):
    """Parameters of running a network whose model says which it is."""

    device: DeviceName = Field(
        default="auto",
        title="Device",
        description="Where the network runs. auto: a GPU if there is one, otherwise the CPU.",
    )
    batch_size: int = Field(
        default=32,
        ge=1,
        le=1024,
        title="Batch size",
        description="Crops encoded at once. Larger values need more memory.",
    )


class EncodeParams(NetworkParams):
    """Parameters of encoding cells where no model determines the encoder."""

    encoder: str = Field(
        default=encoder_names.DEFAULT,
        title="Encoder",
        description=(
            "The network that turns each cell into numbers: bundled (trained on blood cells), "
            "bundled-2-turns (the same, 1.7 times as fast, slightly less accurate), blood-2 "
            "(trained on two more sets), imagenet, "
            "timm:NAME, dinobloom-s, reddino-small, file:PATH?arch=NAME, adapted:PATH, "
            "untrained:NAME."
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
            "The classifier on top of the encoder. auto: linear, unless another one classifies "
            "your annotated cells better (leave-one-out). linear: a weighted sum for each class. "
            "prototype: the nearest class mean. knn: the nearest annotated cells."
        ),
    )
    unlabelled: bool = Field(
        default=True,
        title="Learn from unlabelled cells too",
        description=(
            "Unlabelled cells that resemble annotated ones take part with a small weight. Helps "
            "most with few annotations."
        ),
    )
    measured: bool = Field(
        default=False,
        title="Also use size, colour, nucleus share",
        description=(
            "Adds measurements of each cell to the encoder's numbers: size, colour and the share "
            "of the nucleus; of thermograms, size and temperature. For classes that differ only "
            "in these."
        ),
    )


class PointCropParams(Params):
    """Parameters of crops of a fixed number of pixels around points."""

    border: Literal["pad", "shift", "reject"] = Field(
        default="pad",
        title="At the border",
        description=(
            "Where a crop reaches beyond the image. pad: the image is mirrored there. shift: the "
            "crop is moved into the image. reject: no crop."
        ),
    )
    enlarge: float = Field(
        default=1.0,
        ge=0.1,
        le=20,
        title="Enlarge images",
        description=(
            "By so much before the crops are cut: with 3, a crop of 90 px shows 30 px of the "
            "image. For cells that are small in their images."
        ),
    )
    check: Literal["learned", "classical", "none"] = Field(
        default="learned",
        title="Check for a cell",
        description=(
            "The detector that looks whether there is a cell near each point; crops without one "
            "are set aside, not deleted. none: all crops are taken as they are."
        ),
    )
    reach: float | None = Field(
        default=None,
        ge=0,
        le=10000,
        title="Reach (px)",
        description=(
            "How far from the point a detected cell may lie. Empty: half a cell's diameter."
        ),
    )
    validation: float = Field(
        default=0.1,
        ge=0,
        lt=0.9,
        title="Validation share",
        description="Of the frames or movies, whose crops check while a network learns.",
    )
    test: float = Field(
        default=0.1,
        ge=0,
        lt=0.9,
        title="Test share",
        description="Of the frames or movies, whose crops are looked at once, at the end.",
    )
    seed: int = Field(
        default=0, ge=0, title="Seed", description="Another number makes another split."
    )


class CropSizeParams(Params):
    """Parameters of the study of the size of crops."""

    recipe: str = Field(
        default="alive-dead",
        title="Recipe",
        description="Preset of hemacells train by which the network from scratch learns.",
    )
    tuned_recipe: str = Field(
        default="quick",
        title="Recipe of fine-tuning",
        description="Preset of hemacells train by which the bundled encoder is fine-tuned.",
    )
    input_size: int | None = Field(
        default=None,
        ge=16,
        le=1024,
        title="Network's input (px)",
        description=(
            "Side to which crops are resized for the network from scratch. Empty: as they are."
        ),
    )
    epochs: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        title="Rounds",
        description="At most, of the network from scratch. Empty: those of the recipe.",
    )
    tuned_epochs: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        title="Rounds of fine-tuning",
        description="With the body. Empty: those of the recipe.",
    )
    copies: int = Field(
        default=4,
        ge=0,
        le=32,
        title="Test-time augmentation",
        description="Augmented copies whose answers are averaged with the crop's own.",
    )
    draws: int = Field(
        default=20,
        ge=1,
        le=1000,
        title="Draws",
        description="Of the crops that teach, for each number of crops a class.",
    )
    seed: int = Field(default=0, ge=0, title="Seed", description="Of draws and networks.")


class SelectParams(Params):
    """Parameters of choosing the thermograms of a study."""

    view: ViewName = Field(
        default="frontal",
        title="View",
        description="Direction of the camera. Right and left are the patient's.",
    )
    protocol: ProtocolName = Field(
        default="any",
        title="Protocol",
        description="dynamic: a series of frames after cooling. static: single frames.",
    )
    keep_deodorant: bool = Field(
        default=False,
        title="Keep patients with deodorant",
        description="Keep patients who wore deodorant according to the table.",
    )
    keep_single_breast: bool = Field(
        default=False,
        title="Keep patients with one breast",
        description="Keep patients with a single breast or a mastectomy according to the table.",
    )
    sharpness: float = Field(
        default=1.25,
        ge=0,
        le=5,
        title="Sharpness",
        description=(
            "Frames below this sharpness are left out as blurred, and listed. Usual frames have "
            "1.6, frames far out of focus 1.1. 0 keeps all frames."
        ),
    )
    balanced: bool = Field(
        default=True,
        title="Same number of each class",
        description="Draw the same number of frames from each class at random.",
    )
    per_class: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        title="Frames of each class",
        description="Frames drawn from each class. Empty: as many as the smallest class has.",
    )
    seed: int = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        title="Seed",
        description="Start of the random numbers. The same seed draws the same frames.",
    )
