"""How the time and memory of a refit grow with the annotated cells, against those at 1,000.

Made-up vectors of eight classes; each size in a process of its own, so that memory is its own.
Times are CPU seconds of the process with one thread, the second of two refits on one image.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time

CLASSES, DIM, CELLS = 8, 768, 5000


def measure(clicks: int) -> dict[str, float]:
    """Return CPU seconds and peak memory of a refit on that many annotated cells."""
    import numpy as np

    from napari_hemacells.core import classify

    rng = np.random.default_rng(0)
    means = rng.normal(size=(CLASSES, DIM)) * 0.6
    targets, around = rng.integers(0, CLASSES, clicks), rng.integers(0, CLASSES, CELLS)
    vectors = (means[targets] + rng.normal(size=(clicks, DIM))).astype(np.float32)
    context = (means[around] + rng.normal(size=(CELLS, DIM))).astype(np.float32)
    ids = [f"class-{index}" for index in range(CLASSES)]
    support = classify.SupportSet(vectors, tuple(ids[target] for target in targets))
    seconds = 0.0
    for _ in range(2):
        start = time.process_time()
        classify.fit(support, ids, context=context)
        seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"clicks": clicks, "cpu_s": seconds, "peak_mb": peak}


def main() -> None:
    """Print a row for each number of clicks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clicks", type=int, nargs="+", default=[1000, 2000, 8000, 20000])
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        sys.stdout.write(json.dumps(measure(options.measure)))
        return
    rows = []
    for clicks in options.clicks:
        done = subprocess.run(  # noqa: S603 (this script itself)
            [sys.executable, __file__, "--measure", str(clicks)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
            capture_output=True,
        )
        rows.append(json.loads(done.stdout))
        row, first = rows[-1], rows[0]
        sys.stdout.write(
            f"{row['clicks']:>6} clicks {row['cpu_s']:6.2f} s CPU {row['peak_mb']:6.0f} MB   "
            f"clicks x {row['clicks'] / first['clicks']:.0f}, "
            f"time x {row['cpu_s'] / first['cpu_s']:.1f}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
