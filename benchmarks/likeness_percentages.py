"""Whether "same kind, 80 % sure" is true of kinds that nobody annotated, by kinds annotated.

::

    OMP_NUM_THREADS=1 python benchmarks/likeness_percentages.py ../shared/data/pbc [--repeats 20]

Learns a distance from some cells of 2 to 6 of PBC's kinds (ImageNet encoder, frozen, which saw no
blood), and asks it about pairs of the other kinds, half of them of one kind: how sure it is on
average, how often it is right, and the calibration error (five bins of equal width). From four
kinds on, kinds are left out in turn to calibrate it, and only then the dock, the command and the
report give percentages (:mod:`~napari_hemacells.core.classify.likeness_words`).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.classify.verification import fit_likeness, pair_distances
from napari_hemacells.core.encode import load_encoder
from napari_hemacells.core.evaluate import read_folder
from napari_hemacells.core.types import CropSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

ASKED, PAIRS, BINS = 160, 300, 5


def main() -> None:
    """Measure and print a row for each number of kinds and cells."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    read = read_folder(options.folder, CropSpec(), load_encoder("imagenet"))
    vectors, labels = read.vectors, np.array(read.labels)
    for kinds in (2, 3, 4, 5, 6):
        for shots in (2, 3, 5, 10, 20):
            drawn = [ask(vectors, labels, kinds, shots, seed) for seed in range(options.repeats)]
            sure, right, error = np.mean(drawn, axis=0)
            print(
                f"| {kinds} kinds of {shots} cells | {sure:.3f} | {right:.3f} | {error:.3f} |",
                flush=True,
            )


def ask(
    vectors: NDArray[np.float32], labels: NDArray[np.str_], kinds: int, shots: int, seed: int
) -> tuple[float, float, float]:
    """Return how sure it is of new kinds, how often it is right, and the calibration error."""
    random = np.random.default_rng(seed)
    known = random.permutation(np.unique(labels))[:kinds]
    rows = np.concatenate(
        [random.permutation(np.flatnonzero(labels == kind))[:shots] for kind in known]
    )
    likeness = fit_likeness(vectors[rows], labels[rows].tolist(), seed=seed)
    others = random.permutation(np.flatnonzero(~np.isin(labels, known)))[:ASKED]
    distances, same = pair_distances(likeness.transform(vectors[others]), labels[others])
    pairs = np.concatenate([random.choice(np.flatnonzero(part), PAIRS) for part in (same, ~same)])
    p_same = likeness.p_same(distances[pairs])
    sure, right = np.maximum(p_same, 1 - p_same), (p_same > 0.5) == same[pairs]
    bins = np.clip(((sure - 0.5) * 2 * BINS).astype(int), 0, BINS - 1)
    error = sum(
        abs(sure[bins == own].mean() - right[bins == own].mean()) * (bins == own).mean()
        for own in np.unique(bins)
    )
    return float(sure.mean()), float(right.mean()), float(error)


if __name__ == "__main__":
    main()
