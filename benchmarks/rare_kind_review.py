"""The rare kind reviewed: clicks until the true white cells of a slide are told from the false.

::

    python benchmarks/rare_kind_review.py ../shared/data --markdown build/rare_kind.md

The slide: Chula's fields, those that the networks learned from and those that they did not, red
to white as in a smear, and a detector that takes five red cells for white ones beside each true
one. Two clicks a class, then one cell after the other in the order of the queue, each given its
true class. Told from one another: of all cells that are called white, or were clicked as such, and
of all that are white, F1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from first_clicks import click
from first_clicks_slides import NO_CELL, Slide, slide
from napari_hemacells.core.classify import SupportSet, fit, review_queue
from napari_hemacells.core.types import PLATELET, RBC, WBC, CropSpec, Embeddings, EncoderInfo

ORDERS = ("rare", "active", "uncertain")
CLASSES = [RBC, WBC, PLATELET]
STEP, MOST, GOAL = 4, 120, 0.95


def joined(name: str, data: Path) -> Slide:
    """Return the fields that were learned from and those that were not as one slide."""
    parts = [slide(one, data) for one in (name, f"{name}_train")]
    columns = [np.concatenate([getattr(part, key) for part in parts])
               for key in ("vectors", "kinds", "scores", "areas", "edge", "truth")]  # fmt: skip
    return Slide(name, *columns)


def review(smear: Slide, order: str, seed: int, *, new: bool) -> list[tuple[int, float]]:
    """Return (clicks, F1 of white cells) along the queue."""
    rng = np.random.default_rng(seed)
    clicks = dict(click(smear, CLASSES, 6, rng))
    kinds = smear.kinds if new else None
    info = EncoderInfo("bundled", "", smear.vectors.shape[1])
    ids = np.arange(len(smear.truth))
    cells = Embeddings(ids, smear.vectors, info, CropSpec(), smear.name, kinds=kinds)
    curve = []
    while True:
        rows = list(clicks)
        own = tuple(smear.kinds[rows].tolist()) if new else ()
        head = fit(
            SupportSet(smear.vectors[rows], tuple(clicks.values()), own),
            CLASSES, context=smear.vectors, context_kinds=kinds,
        )  # fmt: skip
        prediction = head.predict(cells)
        said = np.array(prediction.class_ids)[prediction.predicted_column] == WBC
        said[rows] = [name == WBC for name in clicks.values()]
        white = smear.truth == WBC
        right = int((said & white).sum())
        curve.append((len(clicks), 2 * right / max(int(said.sum() + white.sum()), 1)))
        if len(clicks) >= MOST or curve[-1][1] >= GOAL:
            return curve
        queue = review_queue(ids, prediction, cells, order, annotated=set(clicks))
        for cell in queue[:STEP]:
            clicks[cell] = str(smear.truth[cell])


def main() -> None:
    """Review and print, or write, the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--slide", default="chula")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    whole = joined(given.slide, given.data)
    # In Chula's fields every other red cell has no centre, and no platelet has: what was found
    # there without a centre is what the detector took it for, but no white cell.
    bare = whole.truth == NO_CELL
    whole.truth[bare & (whole.kinds == PLATELET)] = PLATELET
    whole.truth[bare & (whole.kinds != PLATELET)] = RBC
    lines = ["| queue | classifier | cells | true white | F1 after 6 clicks | clicks to 0.95 |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for order in ORDERS:
        for new in (False, True):
            if order == "rare" and not new:
                continue
            curves = []
            for seed in range(given.seeds):
                smear = whole.as_smear(seed).with_poor_detector("false white", seed)
                curves.append(review(smear, order, seed, new=new))
            ends = [f"{curve[-1][0]}" if curve[-1][1] >= GOAL else f"> {MOST} ({curve[-1][1]:.2f})"
                    for curve in curves]  # fmt: skip
            start = np.mean([curve[0][1] for curve in curves])
            white = int((smear.truth == WBC).sum())
            lines.append(
                f"| {order} | {'new' if new else 'old'} | {len(smear.truth):,} | {white} "
                f"| {start:.2f} | {', '.join(ends)} |"
            )
            print(lines[-1], flush=True)
    text = "\n".join(lines)
    print(text)
    if given.markdown is not None:
        given.markdown.write_text(text + "\n")


if __name__ == "__main__":
    main()
