"""White cells and platelets: regions that take up the blue-violet stain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from napari_hemacells.core.detect.outlines import CellOutline, outline_of
from napari_hemacells.core.types import PLATELET, WBC

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.detect.stain import Stain

    Mask = NDArray[np.bool_]

# Basophilia and chromatin are in optical density; sizes are in diameters or areas of a red cell.
NUCLEUS = 0.15
NUCLEUS_AREA = 0.22  # of a lymphocyte, the smallest of the white cells, and then some
LOBE_AREA = 0.05
LOBE_GAP = 0.22
CYTOPLASM = 0.015
CYTOPLASM_OVER_RED = 0.03
CYTOPLASM_REACH = 0.45
RIM = 0.1  # cytoplasm is at least that wide even where it is as pale as the glass
PLATELET_STAIN = 0.05
PLATELET_OVER_AROUND = 0.03
PLATELET_AREA = (0.02, 0.35)
PLATELET_RIM = 2  # px at the working scale: the pale rim around the granules
PLATELET_SOLIDITY = 0.6
DENSER_THAN_GLASS = 0.02


def find_leukocytes(
    stain: Stain, diameter: float, eagerness: float, plasma_floor: float | None = None
) -> list[CellOutline]:
    """Return the white cells: lobes of one nucleus joined, with the cytoplasm around.

    Parameters
    ----------
    diameter
        Of a red cell, in pixels.
    eagerness
        Divisor of the thresholds, 1 by default; more finds paler nuclei.
    plasma_floor
        Least basophilia of cytoplasm; measured on the picture by default.
    """
    from skimage.measure import label, regionprops
    from skimage.morphology import disk, remove_small_objects

    red_area = np.pi * diameter**2 / 4
    violet = _smoothed_basophilia(stain, diameter)
    dense = ndi.gaussian_filter(stain.chromatin, diameter * 0.03) > NUCLEUS / eagerness
    nuclei = remove_small_objects(dense, max_size=int(LOBE_AREA * red_area))
    gap = max(1, int(diameter * LOBE_GAP))
    joined = ndi.binary_closing(np.pad(nuclei, 2 * gap), disk(gap))[2 * gap :, 2 * gap :]
    joined = joined[: nuclei.shape[0], : nuclei.shape[1]]
    floor = cytoplasm_floor(stain, diameter) if plasma_floor is None else plasma_floor
    plasma = (violet > floor) & (stain.density > DENSER_THAN_GLASS * 0.75)
    leukocytes = []
    for region in regionprops(label(joined)):
        area = float(nuclei[region.slice][region.image].sum()) / red_area
        if area >= NUCLEUS_AREA / eagerness:
            mask = _whole_cell(region, plasma, diameter)
            leukocytes.append(
                CellOutline(WBC, outline_of(mask), float(min(1.0, 0.5 + 0.5 * area)))
            )
    return leukocytes


def cytoplasm_floor(stain: Stain, diameter: float) -> float:
    """Return the basophilia above that of the background and of the picture's red cells."""
    stained = stain.density > DENSER_THAN_GLASS
    red = (
        float(np.median(_smoothed_basophilia(stain, diameter)[stained])) if stained.any() else 0.0
    )
    return max(CYTOPLASM, red + CYTOPLASM_OVER_RED)


def _smoothed_basophilia(stain: Stain, diameter: float) -> NDArray[np.float32]:
    return np.asarray(ndi.gaussian_filter(stain.basophilia, diameter * 0.03), dtype=np.float32)


def _whole_cell(region: object, plasma: Mask, diameter: float) -> Mask:
    """Return nucleus and cytoplasm as one convex mask of the image's shape."""
    from skimage.measure import label
    from skimage.morphology import convex_hull_image, disk

    reach, rim = int(diameter * CYTOPLASM_REACH), max(1, int(diameter * RIM))
    low = np.maximum(np.asarray(region.bbox[:2]) - reach - 1, 0)  # type: ignore[attr-defined]
    high = np.minimum(np.asarray(region.bbox[2:]) + reach + 1, plasma.shape)  # type: ignore[attr-defined]
    window = (slice(low[0], high[0]), slice(low[1], high[1]))
    nucleus = np.zeros(plasma.shape, np.bool_)
    nucleus[region.slice] = region.image_convex  # type: ignore[attr-defined]
    nucleus = nucleus[window]
    near = ndi.distance_transform_edt(~nucleus) <= reach
    body = ndi.binary_opening(plasma[window] & near, disk(2)) | nucleus
    pieces = label(body)
    own = pieces == np.bincount(pieces[nucleus]).argmax()
    around = ndi.distance_transform_edt(~nucleus) <= rim
    whole = np.zeros(plasma.shape, np.bool_)
    whole[window] = (convex_hull_image(own) | around) & near
    return whole


def find_platelets(
    stain: Stain, diameter: float, eagerness: float, taken: Mask
) -> list[CellOutline]:
    """Return the platelets: small, compact and bluer than their surroundings.

    Parameters
    ----------
    diameter, eagerness
        As in :func:`find_leukocytes`.
    taken
        Mask of the white cells, whose granules are not platelets.
    """
    from skimage.measure import label, regionprops

    red_area = np.pi * diameter**2 / 4
    violet = ndi.gaussian_filter(stain.basophilia, diameter * 0.0175)
    around = ndi.uniform_filter(violet, max(3, int(diameter * 0.9)))
    spots = (
        (violet > PLATELET_STAIN / eagerness)
        & (violet - around > PLATELET_OVER_AROUND / eagerness)
        & (ndi.gaussian_filter(stain.density, diameter * 0.0175) > DENSER_THAN_GLASS)
        & ~taken
    )
    platelets = []
    for region in regionprops(label(ndi.binary_opening(spots)), intensity_image=violet):
        size = float(region.area) / red_area
        if not PLATELET_AREA[0] <= size <= PLATELET_AREA[1]:
            continue
        if region.solidity >= PLATELET_SOLIDITY:
            mask = np.zeros(taken.shape, np.bool_)
            mask[region.slice] = region.image
            score = min(1.0, float(region.intensity_mean) / (4 * PLATELET_STAIN))
            whole = ndi.binary_dilation(mask, iterations=PLATELET_RIM)
            platelets.append(CellOutline(PLATELET, outline_of(whole), score))
    return platelets
