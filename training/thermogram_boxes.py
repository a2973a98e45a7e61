"""The annotated breast boxes of the DMR-IR exams, and the overlap of boxes with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FOUND = 0.5


class Exam(NamedTuple):
    """Name, ``(rows, cols)`` float32 °C, ``(n, 4)`` half-open breast boxes from the left."""

    name: str
    celsius: NDArray[np.float32]
    boxes: NDArray[np.float64]


def read_exams(data: Path) -> list[Exam]:
    """Return the exams that have a breast box, by name."""
    table = pd.read_csv(data / "dmr_ir" / "boxes.csv")
    table = table[table["class"] == "breast"].sort_values("x0")
    stored = np.load(data / "dmr_ir" / "exams_centidegrees.npz")
    return [
        Exam(
            str(name),
            (stored[name] / 100).astype(np.float32),
            own[["y0", "x0", "y1", "x1"]].to_numpy(np.float64),
        )
        for name, own in table.groupby("exam")
    ]


def overlaps(found: NDArray[np.float64], annotated: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(n, m)`` intersection over union of half-open boxes."""
    low = np.maximum(found[:, None, :2], annotated[None, :, :2])
    high = np.minimum(found[:, None, 2:], annotated[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    first = (found[:, 2:] - found[:, :2]).prod(axis=-1)[:, None]
    second = (annotated[:, 2:] - annotated[:, :2]).prod(axis=-1)[None]
    return np.asarray(shared / (first + second - shared))


def best_overlaps(
    found: NDArray[np.float64], annotated: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``(m,)`` overlap of each annotated box with its matched box (one to one)."""
    from scipy.optimize import linear_sum_assignment

    table = overlaps(found, annotated)
    rows, columns = linear_sum_assignment(-table)
    best = np.zeros(len(annotated))
    best[columns] = table[rows, columns]
    return best


def summary(found: Sequence[tuple[str, NDArray[np.float64]]]) -> dict[str, float | int | str]:
    """Return mean overlap over boxes, and in how many exams with two boxes both were found."""
    every = np.concatenate([own for _, own in found])
    pairs = [own for _, own in found if len(own) == 2]
    both = sum(bool((own >= FOUND).all()) for own in pairs)
    return {
        "mean_iou": round(float(every.mean()), 4),
        "n_boxes": len(every),
        "both_found": both,
        "n_exams_with_two": len(pairs),
        "both_found_share": round(both / max(len(pairs), 1), 4),
        "least": min(found, key=lambda one: one[1].min())[0],
    }
