"""Consensus of several annotators: real answers, simulated annotators, and how long it takes.

``python benchmarks/consensus.py --data DIR`` writes ``benchmarks/results/consensus.md``; DIR
holds ``cell_spotting/task_runs.csv``. Nothing is learnt beforehand: distances and rates are
estimated from the points themselves.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path
from typing import Any

from napari_hemacells.core.consensus import (
    METHODS,
    AnnotatorPoints,
    make_consensus,
    read_annotator_points,
    summarise,
)
from napari_hemacells.core.consensus.evaluation import evaluate_methods_steps
from napari_hemacells.core.consensus.simulation import SimulationParams, simulate_annotators

RESULT = Path(__file__).parent / "results" / "consensus.md"
REPEATS = 5
CONDITIONS: list[dict[str, Any]] = [
    *({"annotators": number, "spacing": 40.0} for number in (3, 4, 5, 7)),
    *({"annotators": 3, "spacing": spacing} for spacing in (60.0, 90.0)),
    {"annotators": 3, "spacing": 60.0, "uneven": 0.8, "false_points": 0.2},
    {"annotators": 7, "spacing": 60.0, "uneven": 0.8, "false_points": 0.2},
]
TIMED = [
    ("100 images", {"annotators": 10, "images": 101}),
    ("1 image", {"annotators": 10, "images": 1, "height": 4450, "width": 4600}),
]


SETTING = (
    f"{REPEATS} simulations of 20 images of 390 × 520 px each; in brackets the middle 95 % of "
    "them. Unless said otherwise an annotator misses 20 % of the cells, clicks with a standard "
    "deviation of 10 px in rows and in columns, names 10 % of the states wrongly and 2 % not "
    "sure, and makes up as many points as 5 % of the cells. Cells lie on a hexagonal grid of "
    "which 80 % is filled. *Uneven by 0.8*: the best annotator has a fifth of these rates, the "
    "worst 1.8 times. A hit is one to one and closer than half of the spacing. Images set aside "
    "count as missed; the thesis' rule sets nearly all aside here, so it is also shown without."
)


def simulated() -> list[str]:
    """Return one table for each condition."""
    lines = []
    for given in CONDITIONS:
        params = SimulationParams(**given)
        steps = evaluate_methods_steps(params, REPEATS)
        try:
            while True:
                next(steps)
        except StopIteration as end:
            report = end.value
        lines += [
            f"### {params.annotators} annotators, cells {params.spacing:g} px apart"
            + (f", uneven by {params.uneven:g}" if params.uneven else "")
            + f", {100 * params.false_points:.0f} % false points",
            "",
            "| method | F1 | precision | recall | states right | offset, px |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for name, row in report["methods"].items():
            figures = [
                _figure(row[key]) for key in ("f1", "precision", "recall", "state_accuracy")
            ]
            offset = row["offset_px"]["value"]
            figures.append("–" if offset is None else f"{offset:.1f}")
            lines.append(f"| {name} | {' | '.join(figures)} |")
        lines.append("")
        print("\n".join(lines[-9:]), flush=True)
    return lines


def _figure(figure: dict[str, float | None]) -> str:
    if figure["value"] is None:
        return "–"
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def real(points: AnnotatorPoints) -> list[str]:
    """Return the table of the real answers."""
    summaries = [summarise(make_consensus(points, method)) for method in METHODS]
    every = summarise(make_consensus(points, "radius", set_aside=False))
    first = summaries[0]
    lines = [
        f"{first['answers']:,} answers of people without names on {first['images']:,} frames, "
        f"{first['images_with_several_annotators']:,} of them with two or three answers; "
        f"{first['points']:,} points: "
        + ", ".join(f"{name} {count:,}" for name, count in first["classes"].items())
        + ". Frames with one answer: `radius` keeps nothing of them, the others each point.",
        "",
        (
            "| method | cells | alive | dead | not sure | rejected | frames set aside "
            "| distance, px | agreement on where cells are | alpha, states |"
        ),
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in zip(
        (*METHODS, "radius, nothing set aside"), (*summaries, every), strict=True
    ):
        classes, distance = row["cell_classes"], row["distance_px"]
        counts = " | ".join(str(classes.get(n, 0)) for n in ("alive", "dead", "not sure"))
        lines.append(
            f"| {name} | {row['cells']:,} | {counts} | {row['rejected']:,} | "
            f"{len(row['set_aside'])} | {distance['median']:.0f} ({distance['low']:.0f} to "
            f"{distance['high']:.0f}) | {_figure(row['detection_agreement'])} | "
            f"{_figure(row['alpha_states'])} |"
        )
    return lines


def timed() -> list[str]:
    """Return how long 100,000 points of ten annotators take."""
    lines = ["| points | on | method | seconds of the clock | seconds of the processor |",
             "| --- | --- | --- | --- | --- |"]  # fmt: skip
    small, _ = simulate_annotators(SimulationParams(images=1), 0)
    for method in METHODS:
        make_consensus(small, method)  # what is imported on first use does not count
    for name, given in TIMED:
        points, _ = simulate_annotators(SimulationParams(**given), 0)
        for method in METHODS:
            clock, processor = time.perf_counter(), time.process_time()
            make_consensus(points, method)
            clock, processor = time.perf_counter() - clock, time.process_time() - processor
            lines.append(
                f"| {len(points):,} | {name} | {method} | {clock:.1f} | {processor:.1f} |"
            )
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="Folder of the data sets.")
    parser.add_argument("--load", default="", help="What else the computer was doing.")
    given = parser.parse_args()
    points = read_annotator_points(given.data / "cell_spotting" / "task_runs.csv")
    text = [
        "# Several annotators, one set of cells",
        "",
        (
            "`python benchmarks/consensus.py --data DIR`, which reads "
            "`DIR/cell_spotting/task_runs.csv`. Nothing is learnt beforehand and nothing held "
            "out: distances and rates of annotators are estimated from the points themselves."
        ),
        "",
        "## Real answers (Cell Spotting)",
        "",
        *real(points),
        "",
        (
            "In brackets: the middle 95 % of 1,000 draws of the frames. The truth is not known "
            "here; agreement is not accuracy."
        ),
        "",
        "## Simulated annotators",
        "",
        SETTING,
        "",
        *simulated(),
        "## Time",
        "",
        f"One process on {platform.machine()}, one thread. {given.load}".strip(),
        "",
        *timed(),
        "",
    ]
    RESULT.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
