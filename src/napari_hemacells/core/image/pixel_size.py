"""Micrometres a pixel, from whatever number and unit a file states; never an exception."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

MICROMETRES = {
    "pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "µm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4, "dm": 1e5,
    "m": 1e6, "km": 1e9, "in": 25_400.0, '"': 25_400.0, "ft": 304_800.0, "thou": 25.4,
    "mil": 25.4, "pt": 25_400 / 72, "li": 25_400 / 12,
}  # fmt: skip
WORDS = {
    "angstrom": 1e-4, "ångström": 1e-4, "ångstrom": 1e-4, "picometer": 1e-6, "nanometer": 1e-3,
    "micron": 1.0, "micrometer": 1.0, "µmeter": 1.0, "millimeter": 1e3, "centimeter": 1e4,
    "decimeter": 1e5, "meter": 1e6, "kilometer": 1e9, "inch": 25_400.0, "inche": 25_400.0,
    "foot": 304_800.0,
}  # fmt: skip
PLAUSIBLE_PIXEL_UM = (0.001, 20.0)  # beyond it the tag speaks of print, not of a microscope
MAX_ANISOTROPY = 0.05  # between rows and columns; above it no one number is right


class PixelSize(NamedTuple):
    """Micrometres a pixel, ``None`` where unknown, and what has to be said about it."""

    um: float | None = None
    note: str = ""


def micrometres(unit: object) -> float | None:
    """Return how many micrometres a unit of length is; ``None`` for a strange one.

    Examples
    --------
    >>> [micrometres(unit) for unit in ("μm", "µm", "microns", "Å", "in", "pixel")]
    [1.0, 1.0, 1.0, 0.0001, 25400.0, None]
    """
    text = str(unit).strip().strip("\x00").replace("\\u00B5", "µ").replace("\\u00b5", "µ")
    # U+03BC (Greek mu) is what most keyboards give for U+00B5; U+212B is another Å.
    text = text.replace("\u03bc", "µ").replace("\u212b", "Å").replace("A\u030a", "Å")
    if text in MICROMETRES:
        return MICROMETRES[text]
    word = text.casefold().replace("\u03bc", "µ").rstrip("s").rstrip(".")
    if word.endswith("metre"):
        word = word.removesuffix("metre") + "meter"
    return WORDS.get(word) or (1.0 if word == "µm" else None)


def number(value: object) -> float | None:
    """Return a finite number above 0, a decimal comma read as one; ``None`` for anything else.

    Examples
    --------
    >>> number("0,1"), number("0.25"), number("NaN"), number(None)
    (0.1, 0.25, None, None)
    """
    text = str(value).strip()
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        size = float(text)
    except ValueError:
        return None
    return size if math.isfinite(size) and size > 0 else None


def pixel_size(
    x: object, y: object = None, unit_x: object = "µm", unit_y: object = None
) -> PixelSize:
    """Return the size of a pixel whose width and height a file states.

    Parameters
    ----------
    x, y
        Width and height; `y` may be missing. Numbers, or text.
    unit_x, unit_y
        Their units; `unit_y` is that of `x` where it is missing.
    """
    across, down = number(x), number(y)
    if across is None and down is None:
        return PixelSize()
    factor_x = micrometres(unit_x)
    factor_y = factor_x if unit_y is None else micrometres(unit_y)
    wide = across * factor_x if across is not None and factor_x is not None else None
    high = down * factor_y if down is not None and factor_y is not None else None
    if wide is None and high is None:
        if str(unit_x).strip().casefold() in {"", "pixel", "pixels", "none", "reference frame"}:
            return PixelSize()
        return PixelSize(
            None, f"The unit of the pixel size is strange ({_short(unit_x)}): unused."
        )
    return combine(wide or high, high or wide)


def combine(wide: float | None, high: float | None) -> PixelSize:
    """Return one size for width and height in µm: their geometric mean where they nearly agree."""
    if wide is None or high is None:
        return PixelSize(plausible_pixel_size(wide or high))
    low, top = sorted((wide, high))
    if top > low * (1 + MAX_ANISOTROPY):
        return PixelSize(
            None,
            f"A pixel is {wide:.4g} µm wide and {high:.4g} µm high: no pixel size is used, as no "
            "one number is right. Resample the image to square pixels.",
        )
    if math.isclose(low, top, rel_tol=1e-3):
        return PixelSize(plausible_pixel_size(wide))
    mean = plausible_pixel_size(math.sqrt(wide * high))
    if mean is None:
        return PixelSize()
    both = f"A pixel is {wide:.4g} µm wide and {high:.4g} µm high"
    return PixelSize(mean, f"{both}; the mean is used.")


def plausible_pixel_size(pixel_size_um: float | None) -> float | None:
    """Return the size if a microscope's camera may have it."""
    low, high = PLAUSIBLE_PIXEL_UM
    return pixel_size_um if pixel_size_um is not None and low <= pixel_size_um <= high else None


def _short(text: Any) -> str:
    return "".join(char for char in str(text) if char.isprintable())[:20]
