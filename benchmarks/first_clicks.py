"""The first clicks on a smear, some wrong or untypical: how much of the slide they repaint.

::

    python benchmarks/first_clicks.py ../shared/data --markdown benchmarks/results/first_clicks.md

Slides: :mod:`first_clicks_slides`, at least 100 red cells to a white one. Clicks go round the
classes, red, white, platelet; each is given to a random cell of the class. A bad click is one of
the first six, in turn: *wrong* (a cell of another class), *look-alike* (a red cell that looks more
like the class than 97 of 100 red cells), *dirt* (a found thing that is no cell) or *edge* (a cell
of the right class that the border cuts). Old: every class as likely as another, every annotation
trusted, as before; new: with what the detector saw.

Accuracy and shares are of all cells with truth that were not clicked. *Repainted*: red cells whose
class is another than after the same clicks without the bad ones.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from first_clicks_slides import NO_CELL, SETS, Slide, slide
from napari_hemacells.core.classify import SupportSet, fit
from napari_hemacells.core.classify.calibration import equal_mass_bins
from napari_hemacells.core.types import PLATELET, RBC, WBC, CropSpec, Embeddings, EncoderInfo

TOTALS = (2, 4, 6, 12, 30)
BAD = ("wrong", "look-alike", "dirt", "edge")
LIKE = 0.97
SMALL = 0.3  # area, in red cells
SHOTS = (1, 2, 3, 4, 5)


class Run(NamedTuple):
    """What a classifier says of the cells that were not clicked."""

    accuracy: float
    balanced: float
    white: float
    red_wrong: float
    predicted: np.ndarray
    confidence: np.ndarray
    right: np.ndarray


def click(smear: Slide, classes: list[str], total: int, rng: np.random.Generator) -> list:
    """Return (cell, class) of so many right clicks, going round the classes."""
    order = {name: iter(rng.permutation(np.flatnonzero(smear.truth == name))) for name in classes}
    clicks: list[tuple[int, str]] = []
    while len(clicks) < total and order:
        for name in classes:
            if name in order and len(clicks) < total:
                cell = next(order[name], None)
                if cell is None:
                    del order[name]
                else:
                    clicks.append((int(cell), name))
    return clicks


def spoil(smear: Slide, name: str, how: str, rng: np.random.Generator, used: set[int]) -> int:
    """Return a cell that is a bad choice for a class."""
    truth = smear.truth
    if how == "wrong":
        other = RBC if name != RBC else WBC
        pool = np.flatnonzero(truth == other)
    elif how == "look-alike":
        other = RBC if name != RBC else WBC
        pool = np.flatnonzero(truth == other)
        mine, theirs = (smear.vectors[truth == one].mean(axis=0) for one in (name, other))
        like = smear.vectors[pool] @ (mine - theirs)
        pool = pool[like >= np.quantile(like, LIKE)]
    elif how == "dirt":
        # In Chula's fields half of the red cells have no centre: only small things are no cells.
        small = smear.areas < SMALL if smear.name.startswith("chula") else True
        pool = np.flatnonzero((truth == NO_CELL) & small)
    else:
        pool = np.flatnonzero((truth == name) & smear.edge)
    pool = np.setdiff1d(pool, list(used))
    if not len(pool):  # the slide has none left
        pool = np.setdiff1d(np.flatnonzero(truth != name), list(used))
    return int(rng.choice(pool))


def answer(smear: Slide, clicks: list[tuple[int, str]], classes: list[str], *, new: bool) -> Run:
    """Fit to these clicks and score the rest."""
    rows = np.array([cell for cell, _ in clicks])
    labels = tuple(name for _, name in clicks)
    kinds = tuple(smear.kinds[rows].tolist()) if new else ()
    head = fit(
        SupportSet(smear.vectors[rows], labels, kinds),
        classes,
        context=smear.vectors,
        context_kinds=smear.kinds if new else None,
    )
    info = EncoderInfo("bundled", "", smear.vectors.shape[1])
    embeddings = Embeddings(
        np.arange(len(smear.truth)), smear.vectors, info, CropSpec(), smear.name,
        kinds=smear.kinds if new else None,
    )  # fmt: skip
    prediction = head.predict(embeddings)
    names = np.array(prediction.class_ids)[prediction.predicted_column]
    asked = np.isin(smear.truth, [RBC, WBC, PLATELET])
    asked[rows] = False
    truth, said = smear.truth[asked], names[asked]
    right = truth == said
    return Run(
        float(right.mean()),
        float(np.mean([right[truth == one].mean() for one in classes if (truth == one).any()])),
        float((said == WBC).mean()),
        float((said[truth == RBC] != RBC).mean()),
        np.where(smear.truth == RBC, names, ""),
        prediction.confidence[asked],
        right,
    )


def simulate(smears: list[Slide], seeds: int, turns: int, poor: str) -> tuple[dict, dict]:
    """Return measures by (set, total, bad, version), and answers by (set, shots, version)."""
    table, sure = defaultdict(list), defaultdict(list)
    for whole in smears:
        for seed in range(seeds):
            rng = np.random.default_rng(1000 + seed)
            smear = whole.as_smear(seed).with_poor_detector(poor, seed)
            classes = [one for one in (RBC, WBC, PLATELET) if (smear.truth == one).sum() > 3]
            clicks = click(smear, classes, max(TOTALS), rng)
            good = {}
            for total, new in product(TOTALS, (False, True)):
                good[total, new] = run = answer(smear, clicks[:total], classes, new=new)
                table[whole.name, total, 0, new].append((*run[:4], 0.0))
            for shots, new in product(SHOTS, (False, True)):
                run = answer(smear, clicks[: shots * len(classes)], classes, new=new)
                sure[whole.name, shots, new].append((run.confidence, run.right))
            for bad, turn in product((1, 2), range(turns)):
                spoiled, first = with_bad_clicks(smear, clicks, bad, turn, rng)
                for total, new in product(TOTALS, (False, True)):
                    if first >= total:
                        continue
                    run = answer(smear, spoiled[:total], classes, new=new)
                    moved = (run.predicted != good[total, new].predicted)[smear.truth == RBC]
                    table[whole.name, total, bad, new].append((*run[:4], float(moved.mean())))
    return table, sure


def with_bad_clicks(
    smear: Slide, clicks: list, bad: int, turn: int, rng: np.random.Generator
) -> tuple[list, int]:
    """Return the clicks, some of the first six replaced, and the place of the first of these."""
    spoiled = list(clicks)
    places = rng.permutation(6)[:bad].tolist() if bad > 1 else [turn % 6]
    used = {cell for cell, _ in clicks}
    for place in places:
        how = BAD[(turn // 6 + turn) % 4] if bad == 1 else str(rng.choice(BAD))
        name = clicks[place][1]
        cell = spoil(smear, name, how, rng, used)
        used.add(cell)
        spoiled[place] = (cell, name)
    return spoiled, min(places)


def report(table: dict, sure: dict, shares: dict) -> str:
    """Return the measures as Markdown."""
    lines = [
        (
            "| slide | bad clicks | clicks | accuracy | balanced | called WBC "
            "| red cells repainted, mean (worst of twenty) |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(key[0] for key in table):
        for bad in (0, 1, 2):
            for total in TOTALS:
                old, new = (np.array(table[name, total, bad, one]) for one in (False, True))
                if not len(old):
                    continue
                cells = [f"{old[:, at].mean():.3f} → {new[:, at].mean():.3f}" for at in (0, 1)] + [
                    f"{100 * old[:, 2].mean():.1f} → {100 * new[:, 2].mean():.1f} %"
                ]
                worst = [np.quantile(one[:, 4], 0.95) for one in (old, new)]
                cells.append(
                    "" if bad == 0 else
                    f"{100 * old[:, 4].mean():.1f} → {100 * new[:, 4].mean():.1f} % "
                    f"({100 * worst[0]:.1f} → {100 * worst[1]:.1f} %)"
                )  # fmt: skip
                lines.append(
                    f"| {name} ({shares[name]}) | {bad} | {total} | {' | '.join(cells)} |"
                )
    lines += [
        "",
        "| slide | clicks a class | ECE | mean confidence | accuracy | confidence above 0.99 |",
        "|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(key[0] for key in sure):
        for shots in SHOTS:
            row = []
            for new in (False, True):
                confidence, right = (
                    np.concatenate(one) for one in zip(*sure[name, shots, new], strict=True)
                )
                row.append(
                    (
                        equal_mass_bins(confidence, right).error,
                        confidence.mean(),
                        right.mean(),
                        (confidence > 0.99).mean(),
                    )
                )
            lines.append(
                f"| {name} | {shots} | "
                + " | ".join(f"{a:.3f} → {b:.3f}" for a, b in zip(*row, strict=True))
                + " |"
            )
    return "\n".join(lines)


def main() -> None:
    """Simulate and print, or write, the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--slides", nargs="+", default=list(SETS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--turns", type=int, default=24)
    parser.add_argument("--poor", default="", help="a worse detector: see with_poor_detector")
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    smears = [slide(name, given.data) for name in given.slides]
    shares = {}
    for one in smears:
        smear = one.as_smear(0)
        shares[one.name] = (
            f"{100 * (smear.truth == WBC).sum() / (smear.truth != NO_CELL).sum():.1f} % white"
        )
    text = report(*simulate(smears, given.seeds, given.turns, given.poor), shares)
    print(text)
    if given.markdown is not None:
        given.markdown.write_text(text + "\n")


if __name__ == "__main__":
    main()
