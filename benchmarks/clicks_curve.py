"""Clicks to accuracy: ``python benchmarks/clicks_curve.py [DATA] [--sets ...]``.

Runs ``hemacells evaluate clicks`` on whole datasets and prints how many clicks each order needs
for the accuracy of random order with 20 per class, as the mean of 20 runs. ``--out`` takes the
curves.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from blood_sets import SETS
from napari_hemacells.cli.evaluate import clicks_csv, make_encoder, plot_click_curve
from napari_hemacells.core.evaluate.click_curve import click_curve_steps
from napari_hemacells.core.types.progress import run_to_end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", default=["wbc_jiangxi", "chula"], choices=list(SETS))
    parser.add_argument("--encoder", default="bundled")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("build/clicks"))
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    encoder = make_encoder(chosen.encoder, "auto")
    print("| dataset | encoder | random clicks | their accuracy | order | clicks needed |")
    print("|---|---|---|---|---|---|")
    for name in chosen.sets:
        steps = click_curve_steps(SETS[name](chosen.data), encoder, repeats=chosen.repeats)
        curve = run_to_end(steps)
        for order, needed in curve.clicks_to_target().items():
            print(
                f"| {name} | {curve.encoder} | {curve.clicks} | {curve.target:.3f} | {order} "
                f"| {'not reached' if needed is None else needed} |",
                flush=True,
            )
        (chosen.out / f"{name}.csv").write_text(clicks_csv(curve))
        plot_click_curve(curve, chosen.out / f"{name}.png")
    print(
        f"\n{chosen.repeats} runs; half of the crops can be annotated, the other half is scored."
    )
    print(f"{encoder.info.name} has seen: {encoder.info.seen}.")


if __name__ == "__main__":
    main()
