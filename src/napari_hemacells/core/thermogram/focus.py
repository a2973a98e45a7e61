"""How sharp a thermogram is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = 480  # of the frame in whose pixels the two scales are given
FINE, COARSE = 1.5, 4.0  # pixels
LEAST_UNIT = 0.6  # of a pixel; a gradient at a finer scale than 0.9 px is not that of the picture
BLURRED = 1.25  # below it an edge is no steeper than a lens out of focus makes it


def focus(celsius: NDArray[np.floating]) -> float:
    """How much steeper the steepest edges are at a fine scale than at a coarse one; 1 or more.

    A blurred edge has the same slope at both. The measure is the quotient of the fourth-power
    means of the Gaussian gradient's magnitude at 1.5 and at 4 px (of a frame with 480 rows), so
    that the body's outline decides and neither the unit, the contrast nor the camera's noise of
    about 0.1 °C does. It is the idea of re-blurring (Crete et al. 2007, doi 10.1117/12.702790),
    for pictures that are noisy and smooth. An even frame, which has no edge, has 1.

    Examples
    --------
    >>> from scipy.ndimage import gaussian_filter
    >>> edge = np.where(np.arange(640) < 320, 22.0, 31.0) * np.ones((480, 1))
    >>> focus(edge) > 1.5, focus(gaussian_filter(edge, 5)) < 1.25
    (True, True)
    """
    from scipy import ndimage as ndi

    values = np.asarray(celsius, dtype=np.float64)
    unit = max(values.shape[0] / ROWS, LEAST_UNIT)
    fine, coarse = (
        float(np.mean(ndi.gaussian_gradient_magnitude(values, scale * unit) ** 4)) ** 0.25
        for scale in (FINE, COARSE)
    )
    return fine / coarse if coarse > 1e-9 else 1.0
