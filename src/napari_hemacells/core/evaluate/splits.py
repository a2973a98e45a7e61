"""Training or validation by a hash of where a cell comes from: re-training never leaks."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_hemacells.core.types import SmearImage


def group_key(image: SmearImage) -> str:
    """Return what a split must keep together: the patient, else the slide, else the image.

    Laboratories count slides and patients on their own, so theirs goes before both.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_hemacells.core.types import Groups, SmearImage
    >>> group_key(SmearImage(np.zeros((1, 1, 3), np.uint8), "f00", "x", groups=Groups("p1")))
    'patient//p1'
    """
    groups = image.groups
    if groups.patient:
        return f"patient/{groups.laboratory or ''}/{groups.patient}"
    if groups.slide:
        return f"slide/{groups.laboratory or ''}/{groups.slide}"
    return f"image/{image.key}"


def in_validation(group: str, fraction: float = 0.2, seed: int = 0) -> bool:
    """Whether a group is for validation: always the same answer, on every computer.

    Examples
    --------
    >>> in_validation("patient//p1") == in_validation("patient//p1")
    True
    """
    digest = hashlib.sha256(f"{seed}/{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64
