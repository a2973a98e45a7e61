"""The few-shot table of the README: ``python benchmarks/fewshot_folders.py [DATA]``.

Runs the experiment of ``hemacells evaluate fewshot`` on PBC and on the white cells of Jiangxi and
prints a markdown table.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from convert_sets import convert_jiangxi
from napari_hemacells.core.encode import bundled_encoder
from napari_hemacells.core.evaluate import FewShotReport, fewshot
from napari_hemacells.core.evaluate.fewshot import INTERVAL, SPLIT, STANDARDISATION

SHOTS = {"pbc": [1, 2, 5, 10, 20], "wbc_jiangxi": [1, 2, 5, 10, 20]}


def rows(name: str, report: FewShotReport) -> list[str]:
    """Return the lines of one set."""
    return [
        f"| {name} | {len(report.classes)} | {shots} | {one.balanced_accuracy:.3f} "
        f"| {one.std:.3f} | {one.ci95[0]:.3f} to {one.ci95[1]:.3f} | {one.macro_f1:.3f} |"
        for shots, one in report.shots.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    encoder = bundled_encoder("auto")
    # a folder that stays where it is, so that its vectors are found again in the cache
    converted = Path(tempfile.gettempdir()) / "napari-hemacells-sets" / "wbc_jiangxi"
    convert_jiangxi(chosen.data / "wbc_jiangxi", converted)
    print("| set | classes | shots | balanced accuracy | std | 95 % of draws | macro F1 |")
    print("|---|---|---|---|---|---|---|")
    notes = []
    for name, folder in (("pbc", chosen.data / "pbc"), ("wbc_jiangxi", converted)):
        report = fewshot(folder, SHOTS[name], chosen.repeats, chosen.seed, encoder)
        print("\n".join(rows(name, report)), flush=True)
        notes.append(
            f"{name}: n = {report.n}, left out {report.left_out or 'none'}, {report.crop}"
        )
    print(f"\nEncoder {encoder.info.name}, which has seen: {encoder.info.seen}. Split: {SPLIT}.")
    print(f"Standardisation: {STANDARDISATION}. Interval: {INTERVAL}.")
    print(f"{chosen.repeats} draws, seed {chosen.seed}. " + "; ".join(notes))


if __name__ == "__main__":
    main()
