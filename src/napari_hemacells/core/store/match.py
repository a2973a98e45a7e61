"""Whether a model may be used here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import BundleMismatchError

if TYPE_CHECKING:
    from napari_hemacells.core.store.bundle import Bundle
    from napari_hemacells.core.types import CropSpec, EncoderInfo

MAX_SCALE = 3.0  # cells that many times larger or smaller lose or gain detail the head never saw


def check(
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
