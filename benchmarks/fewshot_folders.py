"""Few-shot tables: ``python benchmarks/fewshot_folders.py [DATA] [--encoders ...]``.

Runs the experiment of ``hemacells evaluate fewshot`` on the white cells of Jiangxi, on the
held-out blocks of Chula's red cells and on PBC, and prints a Markdown table: for the head that
also learns from unlabelled cells (transductive, as in the dock), and for the one that does not.
Below the table it says what each encoder was trained on; such a dataset is not a test of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from blood_sets import SETS
from napari_hemacells.cli.evaluate import crop_of, make_encoder
from napari_hemacells.core.evaluate import FewShotReport, fewshot
from napari_hemacells.core.evaluate.fewshot import INTERVAL, SPLIT
from napari_hemacells.core.params import ClassifyParams

HEAD = (
    "| set | encoder | learns from unlabelled cells | classes | shots | "
    "balanced accuracy | std | 95 % of draws | macro F1 | ECE | unknown "
    "AUROC |"
)


def rows(name: str, report: FewShotReport) -> list[str]:
    """Return the rows of one dataset and encoder."""
    start = f"| {name} | {report.encoder} | {'yes' if report.unlabelled else 'no'} "
    return [
        f"{start}| {len(report.classes)} | {shots} | {one.balanced_accuracy:.3f} | {one.std:.3f} "
        f"| {one.ci95[0]:.3f} to {one.ci95[1]:.3f} | {one.macro_f1:.3f} | {one.ece:.3f} "
        f"| {'' if one.unknown_auroc is None else f'{one.unknown_auroc:.3f}'} |"
        for shots, one in report.shots.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument(
        "--sets", nargs="+", default=["wbc_jiangxi", "chula", "pbc"], choices=list(SETS)
    )
    parser.add_argument(
        "--encoders", nargs="+", default=["bundled", "imagenet", "colour-histogram"]
    )
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5, 10])
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    print(HEAD + "\n" + "|---" * HEAD.count(" | ") + "|---|", flush=True)
    notes = dict[str, None]()
    for name in chosen.sets:
        folder = SETS[name](chosen.data)
        for encoder_name in chosen.encoders:
            encoder = make_encoder(encoder_name, "auto")
            notes[f"{encoder.info.name} has seen: {encoder.info.seen}."] = None
            for unlabelled in (True, False):
                params = ClassifyParams(unlabelled=unlabelled)
                report = fewshot(
                    folder,
                    chosen.shots,
                    chosen.repeats,
                    chosen.seed,
                    encoder,
                    params=params,
                    spec=crop_of(encoder_name),
                )
                print("\n".join(rows(name, report)), flush=True)
            notes[f"{name}: n = {report.n}, left out {report.left_out or 'none'}."] = None
    print("\n" + "\n".join(notes))
    print(f"Split: {SPLIT}. Interval: {INTERVAL}. ECE: at most ten equal-mass bins.")
    print(f"{chosen.repeats} draws, seed {chosen.seed}; unknown: ten draws, each class left out.")


if __name__ == "__main__":
    main()
