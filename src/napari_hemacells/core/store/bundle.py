"""A model bundle: a folder with ``model.safetensors`` and ``bundle.json``, no pickle.

It holds all that is needed to classify another image the same way, or to go on annotating: the
head, its support set, and what the encoder and the crops were. Of a network that was fine-tuned,
it holds the encoder's weights too.

Whether a model may be used here.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_hemacells import __version__
from napari_hemacells.core.annotate.palette import CellClass, Palette
from napari_hemacells.core.annotate.state import utc_now
from napari_hemacells.core.errors import (
    AnnotationError,
    BundleError,
    BundleMismatchError,
    StorageError,
)
from napari_hemacells.core.files.fsio import atomic_folder, read_bytes, recover, storage_error
from napari_hemacells.core.files.safe_files import is_regular
from napari_hemacells.core.store.schema import (
    MAX_DIM,
    StoredSpec,
)
from napari_hemacells.core.types import (  # noqa: TC001 (so do these)
    EncoderInfo,
    Groups,
    LearnedFrom,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.classify import Head
    from napari_hemacells.core.encode import Encoder
    from napari_hemacells.core.params import DeviceName
    from napari_hemacells.core.types import CropSpec

JSON_NAME, TENSORS_NAME = "bundle.json", "model.safetensors"
FORMAT = "napari-hemacells model"
# 2: the JSON has a hash of its own; 3: says what was learned from, and is written where that is
# known; 4: has classes within kinds, and is written where there are some. All are read.
VERSION, VERSION_OF_ONE_LEVEL, VERSION_WITHOUT_SOURCE = 4, 3, 2
MIN_SIDE, MAX_SIDE = 8, 4096  # pixels of a crop, and of what a network is given
MIN_CONTEXT, MAX_CONTEXT = 0.1, 100.0
MAX_SWAP_GAIN = 0.25  # mean recall; a head that learned little can gain some by chance
_JSON_LIMIT, _TENSORS_LIMIT = 16 * 2**20, 2**31
_VECTORS, _HEAD, _ENCODER = "support.vectors", "head.", "encoder."


@dataclass(frozen=True, eq=False)
class Bundle:
    """A fitted model with all that identifies it.

    Attributes
    ----------
    palette
        Class names, colours, keys and order.
    head_tensors, head_meta
        The head, as its ``to_tensors()`` gave it.
    vectors
        ``(m, dim)`` float32 support vectors, as the encoder gave them.
    labels
        ``(m,)`` class ids of the support vectors.
    diameter
        Typical cell diameter of the training images in pixels, ``None`` where there was no image.
    pixel_size_um
        Micrometres a pixel of the training images, ``None`` where unknown.
    groups
        Where the training images come from.
    encoder_tensors
        Weights of the encoder where it was fine-tuned; empty for one that every installation has.
    training
        Of a fine-tuned model: recipe, split, figures, as plain JSON.
    learned_from
        Whole pictures or detected cells, and their scale; ``None`` where an earlier version saved
        the model.
    """

    name: str
    encoder: EncoderInfo
    spec: CropSpec
    palette: Palette
    head_tensors: dict[str, NDArray[Any]]
    head_meta: dict[str, Any]
    vectors: NDArray[np.float32]
    labels: tuple[str, ...]
    diameter: float | None = None
    pixel_size_um: float | None = None
    groups: tuple[Groups, ...] = ()
    encoder_tensors: dict[str, NDArray[Any]] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    learned_from: LearnedFrom | None = None
    created: str = field(default_factory=utc_now)
    app_version: str = __version__

    @property
    def training_counts(self) -> dict[str, int]:
        """Annotated cells of each class, by class id in the palette's order."""
        return {class_id: self.labels.count(class_id) for class_id in self.palette.ids}

    @cached_property
    def head(self) -> Head:
        """The head, ready to predict."""
        from napari_hemacells.core.classify.hierarchy import read_head

        head = read_head(self.head_tensors, self.head_meta)
        self._check_head(head)
        return head

    def _check_head(self, head: Head) -> None:
        """Refuse a head that cannot have been fitted on the training cells stored with it."""
        from napari_hemacells.core.classify.hierarchy import taught_counts

        counts = {class_id: count for class_id, count in self.training_counts.items() if count}
        known = set(head.class_ids)
        if (
            taught_counts(head) != counts
            or len(known) != len(head.class_ids)
            or not known <= set(self.palette.ids)
        ):
            raise BundleError(
                f"The head of the model “{self.name}” and its training cells do not belong "
                "together (other classes or other numbers of cells): copy the bundle again."
            )
        if len(head.class_ids) < 2:
            return
        if _recall_gained_by_swapping(head, self.vectors, self.labels) > MAX_SWAP_GAIN:
            raise BundleError(
                f"The classes of the model “{self.name}” were mixed up: it recognises its own "
                "training cells far better when they are swapped. Copy the bundle again, or save "
                "the model anew."
            )

    def make_encoder(self, device: DeviceName = "auto") -> Encoder:
        """Return the encoder: the one inside, or the installed one that is most like it.

        Raises
        ------
        BundleError
            The weights inside do not fit their description.
        EncoderError
            The device cannot be used; or the encoder is one of others that would be fetched or
            read from a file, and nobody allowed that
            (:class:`~napari_hemacells.core.errors.EncoderNotAllowedError`).
        """
        from napari_hemacells.core.encode import encoder_like, without_features
        from napari_hemacells.core.encode.finetuned import finetuned_encoder

        if self.encoder_tensors:
            network = without_features(self.encoder)
            return finetuned_encoder(network, self.encoder_tensors, device)
        return encoder_like(self.encoder, device)


def _recall_gained_by_swapping(
    head: Head, vectors: NDArray[np.float32], labels: tuple[str, ...]
) -> float:
    """Return by how much the mean recall of the training cells rises with other class names.

    0 for a head whose classes are its own, however little it learned.
    """
    from scipy.optimize import linear_sum_assignment

    from napari_hemacells.core.classify.hierarchy import taught_columns

    truth = taught_columns(head, labels)
    asked = truth >= 0  # of two levels, a cell of a kind alone has no class of its own
    answers = head.scores(vectors[asked]).argmax(axis=1)
    recalls = np.zeros((len(head.class_ids),) * 2)
    np.add.at(recalls, (truth[asked], answers), 1.0)
    recalls /= np.maximum(recalls.sum(axis=1, keepdims=True), 1.0)
    best = recalls[linear_sum_assignment(recalls, maximize=True)].mean()
    return float(best - np.diagonal(recalls).mean())


class _BundleFile(BaseModel):
    """What ``bundle.json`` holds."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["napari-hemacells model"] = "napari-hemacells model"
    version: int = VERSION_OF_ONE_LEVEL
    name: str
    created: str
    app_version: str
    encoder: EncoderInfo
    crop: StoredSpec
    classes: tuple[CellClass, ...]
    training_counts: dict[str, int]
    cell_diameter_px: float | None = Field(default=None, gt=0, lt=1e6)
    pixel_size_um: float | None = Field(default=None, gt=0, lt=1e6)
    groups: tuple[Groups, ...] = ()
    head: dict[str, Any]
    support_labels: tuple[str, ...]
    training: dict[str, Any] = Field(default_factory=dict)
    learned_from: LearnedFrom | None = None
    tensors_sha256: str
    content_sha256: str = ""  # of everything else in this file; none in version 1

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        """Refuse sizes that no encoder has, before anything of that size is made."""
        spec, encoder = self.crop, self.encoder
        if not MIN_SIDE <= spec.size <= MAX_SIDE:
            raise ValueError(f"crops of {spec.size} px, {MIN_SIDE} to {MAX_SIDE} are possible")
        if not MIN_CONTEXT <= spec.context <= MAX_CONTEXT:
            raise ValueError(f"a margin of {spec.context}")
        learned = self.learned_from
        scales = (learned.diameter, learned.context, learned.side) if learned else ()
        if not all(scale is None or 0 < scale < 1e6 for scale in scales):
            raise ValueError("a scale that no picture has")
        if not 1 <= encoder.dim <= MAX_DIM:
            raise ValueError(f"{encoder.dim} numbers a cell")
        for settings in (encoder.preprocessing, encoder.preprocessing.get("network", {})):
            side = settings.get("size", MIN_SIDE) if isinstance(settings, dict) else None
            if type(side) is not int or not MIN_SIDE <= side <= MAX_SIDE:
                raise ValueError(f"pictures of {side} px for the network")
        if not all_finite(self.model_dump(mode="python", exclude={"training"})):
            raise ValueError("a number that is none")
        return self


def save_bundle(path: str | Path, bundle: Bundle) -> Path:
    """The folder written, whole or not at all; an older bundle in its place is replaced.

    There is a whole bundle at any moment: where the process ends between two renames, the older
    one comes back when it is loaded.

    Raises
    ------
    StorageError
        Where it cannot be written, or would replace something that is no bundle.
    """
    from safetensors.numpy import save

    folder = Path(path).expanduser().absolute()
    recover(folder)
    if os.path.lexists(folder) and not _replaceable(folder):
        raise StorageError(f"“{folder}” exists and is no model bundle: choose another name.")
    parts = {_HEAD: bundle.head_tensors, _ENCODER: bundle.encoder_tensors}
    tensors = {
        prefix + key: np.require(value, requirements="C")  # single numbers stay single
        for prefix, part in parts.items()
        for key, value in part.items()
    }
    tensors[_VECTORS] = np.ascontiguousarray(bundle.vectors, dtype=np.float32)
    data = save(tensors)
    content = _describe(bundle, hashlib.sha256(data).hexdigest())
    content = content.model_copy(update={"content_sha256": _content_hash(content)})
    with atomic_folder(folder) as temporary:
        (temporary / TENSORS_NAME).write_bytes(data)
        (temporary / JSON_NAME).write_bytes(_to_json(content) + b"\n")
    return folder


def load_bundle(path: str | Path) -> Bundle:
    """The bundle of a folder, or of the ``bundle.json`` in it.

    Raises
    ------
    BundleError
        For a bundle that is missing, truncated, damaged, or of a newer version; for a link in
        the place of one of its files, and for one that may not be read.
    """
    folder = Path(path).expanduser().absolute()
    folder = folder.parent if folder.name in {JSON_NAME, TENSORS_NAME} else folder
    recover(folder)
    if not folder.exists():
        raise BundleError(f"There is no model “{folder}”.")
    if not _holds_json(folder):
        raise BundleError(f"“{folder}” is no model bundle: it holds no {JSON_NAME}.")
    content = _read_json(folder / JSON_NAME)
    tensors = _read_tensors(folder / TENSORS_NAME, content.tensors_sha256)
    vectors = _check_support(folder, content, tensors.pop(_VECTORS, None))
    try:
        palette = Palette(content.classes)
    except AnnotationError as error:
        raise BundleError(f"The classes of “{folder}” are damaged: {error}") from error
    return Bundle(
        name=content.name,
        encoder=content.encoder,
        spec=content.crop,
        palette=palette,
        head_tensors=_part(tensors, _HEAD),
        head_meta=content.head,
        vectors=vectors,
        labels=content.support_labels,
        diameter=content.cell_diameter_px,
        pixel_size_um=content.pixel_size_um,
        groups=content.groups,
        encoder_tensors=_part(tensors, _ENCODER),
        training=content.training,
        learned_from=content.learned_from,
        created=content.created,
        app_version=content.app_version,
    )


def _part(tensors: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    """Return the tensors whose names begin so, without that."""
    return {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }


def _describe(bundle: Bundle, tensors_sha256: str) -> _BundleFile:
    return _BundleFile(
        version=_version(bundle),
        name=bundle.name,
        created=bundle.created,
        app_version=bundle.app_version,
        encoder=bundle.encoder,
        crop=bundle.spec,
        classes=bundle.palette.classes,
        training_counts=bundle.training_counts,
        cell_diameter_px=bundle.diameter,
        pixel_size_um=bundle.pixel_size_um,
        groups=bundle.groups,
        head=bundle.head_meta,
        support_labels=bundle.labels,
        training=bundle.training,
        learned_from=bundle.learned_from,
        tensors_sha256=tensors_sha256,
    )


def _version(bundle: Bundle) -> int:
    """Return the first version of the format that can say all of it."""
    if bundle.palette.parents:
        return VERSION
    return VERSION_OF_ONE_LEVEL if bundle.learned_from else VERSION_WITHOUT_SOURCE


def _replaceable(folder: Path) -> bool:
    try:
        return folder.is_dir() and ((folder / JSON_NAME).is_file() or not any(folder.iterdir()))
    except OSError as error:
        raise storage_error(error, folder, f"“{folder.name}” was not saved") from error


def _holds_json(folder: Path) -> bool:
    try:
        return is_regular(folder / JSON_NAME)
    except StorageError as error:
        raise BundleError(str(error)) from error


def _read_json(path: Path) -> _BundleFile:
    try:
        data = read_bytes(path, _JSON_LIMIT)
    except StorageError as error:
        raise BundleError(f"The model bundle “{path.parent}” cannot be read: {error}") from error
    try:
        header = json.loads(data)
        if header["format"] == FORMAT and int(header["version"]) > VERSION:
            raise BundleError(
                f"The model “{path.parent}” was saved by a newer version of HemaCells (format "
                f"{header['version']}, this version reads {VERSION}): update napari-hemacells."
            )
        content = _BundleFile.model_validate_json(data)
    except (
        ValueError,
        KeyError,
        TypeError,
        OverflowError,
        RecursionError,
        AnnotationError,
    ) as error:
        raise BundleError(
            f"“{path}” is damaged or truncated ({_reason(error)}): copy the bundle again."
        ) from error
    except StorageError as error:
        raise BundleError(f"“{path}” is damaged or truncated: {error}") from error
    if content.version > 1 and content.content_sha256 != _content_hash(content):
        raise BundleError(
            f"“{path}” was changed or damaged since the model was saved (its hash is another "
            "one): copy the bundle again."
        )
    return content


def _content_hash(content: _BundleFile) -> str:
    """Return the SHA-256 of all that the JSON says, whatever its layout."""
    values = content.model_dump(mode="json", exclude={"content_sha256", *_unsaid(content)})
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _to_json(content: _BundleFile) -> bytes:
    return content.model_dump_json(indent=2, exclude=_unsaid(content)).encode()


def _unsaid(content: _BundleFile) -> set[str]:
    """Return the fields that files before version 3 do not have."""
    return set() if content.learned_from else {"learned_from"}


def _reason(error: Exception) -> str:
    """Return the first thing that is wrong, in a few words."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg']}".removeprefix(": ")
    return "it is nested too deeply" if isinstance(error, RecursionError) else "no JSON"


def all_finite(values: Any) -> bool:
    """Whether no number in plain lists, tuples and dictionaries is infinite or none at all."""
    if isinstance(values, dict):
        return all(all_finite(value) for value in values.values())
    if isinstance(values, list | tuple):
        return all(all_finite(value) for value in values)
    return not isinstance(values, float) or math.isfinite(values)


def _read_tensors(path: Path, sha256: str) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        data = read_bytes(path, _TENSORS_LIMIT)
    except StorageError as error:
        raise BundleError(f"The model bundle “{path.parent}” is not whole: {error}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BundleError(
            f"“{path}” is damaged or truncated (its hash is not the one in {JSON_NAME}): "
            "copy the bundle again."
        )
    try:
        tensors: dict[str, NDArray[Any]] = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"“{path}” is no safetensors file: copy the bundle again.") from error
    for name, values in tensors.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise BundleError(
                f"“{path}” is damaged: “{name}” holds numbers that are none. Save the model anew."
            )
    return tensors


def _check_support(
    folder: Path, content: _BundleFile, vectors: NDArray[Any] | None
) -> NDArray[np.float32]:
    known = {cell_class.id for cell_class in content.classes}
    expected = (len(content.support_labels), content.encoder.dim)
    fits = vectors is not None and vectors.shape == expected and bool(np.isfinite(vectors).all())
    if vectors is None or not fits or not known.issuperset(content.support_labels):
        raise BundleError(
            f"The training cells in “{folder}” do not fit its classes and encoder: "
            "save the model again."
        )
    return vectors.astype(np.float32, copy=False)


MAX_SCALE = 3.0  # cells that many times larger or smaller lose or gain detail the head never saw


def check_compatible(
    bundle: Bundle,
    encoder: EncoderInfo,
    spec: CropSpec,
    diameter: float | None = None,
    pixel_size_um: float | None = None,
) -> None:
    """Refuse a model whose encoder, crops or scale are not the ones in use.

    Parameters
    ----------
    encoder, spec
        What would make the vectors that the model is asked about; features beside an encoder's
        numbers are measured wherever the model has them, and are no matter here.
    diameter
        Typical cell diameter of the image in pixels, ``None`` where unknown.
    pixel_size_um
        Micrometres a pixel of the image, ``None`` where unknown.

    Raises
    ------
    BundleMismatchError
        With the reason, and both values of what differs.
    """
    _check_encoder(bundle, encoder)
    _check_spec(bundle, spec)
    _check_scale(bundle.name, bundle.diameter, diameter, "pixels")
    if bundle.pixel_size_um and pixel_size_um and bundle.diameter and diameter:
        trained, here = bundle.diameter * bundle.pixel_size_um, diameter * pixel_size_um
        _check_scale(bundle.name, trained, here, "µm")


def _check_encoder(bundle: Bundle, encoder: EncoderInfo) -> None:
    from napari_hemacells.core.encode import without_features

    theirs, encoder = without_features(bundle.encoder), without_features(encoder)
    if (theirs.sha256, theirs.dim) != (encoder.sha256, encoder.dim):
        raise BundleMismatchError(
            f"The model “{bundle.name}” was made with the encoder {theirs.name} "
            f"({theirs.sha256[:12]}), here it is {encoder.name} ({encoder.sha256[:12]}): "
            "choose that encoder, or annotate some cells anew."
        )
    if theirs.preprocessing != encoder.preprocessing:
        raise BundleMismatchError(
            f"The model “{bundle.name}” was made with other preprocessing "
            f"({theirs.preprocessing}) than is used here ({encoder.preprocessing})."
        )


def _check_spec(bundle: Bundle, spec: CropSpec) -> None:
    theirs = bundle.spec
    same_context = math.isclose(theirs.context, spec.context, rel_tol=1e-6)
    if theirs.size != spec.size or not same_context:
        raise BundleMismatchError(
            f"The model “{bundle.name}” was made on crops of {theirs.size} px with margin "
            f"{theirs.context:g}, here they have {spec.size} px and {spec.context:g}: "
            "use the model's crops."
        )


def _check_scale(name: str, trained: float | None, here: float | None, unit: str) -> None:
    if not trained or not here:
        return
    ratio = max(trained / here, here / trained)
    if ratio > MAX_SCALE:
        raise BundleMismatchError(
            f"The model “{name}” was made on cells of about {trained:.3g} {unit}, here they "
            f"measure about {here:.3g} {unit}, a factor of {ratio:.2g} (at most {MAX_SCALE:g} is "
            "allowed): check the cell diameter, or annotate some cells anew."
        )
