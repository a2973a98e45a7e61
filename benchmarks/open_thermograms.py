"""Time to open a folder of 200 thermograms in napari, and the number of files read.

The six text files of DMR-IR (480×640) are copied under 200 names into a temporary folder; then a
viewer opens it like a dropped folder and shows another frame. Needs a display, or::

    xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/open_thermograms.py ../shared/data
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import napari

from napari_hemacells.core.temperature import stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

COUNT = 200
PLUGIN = "napari-hemacells"


def copy_series(source: Path, folder: Path) -> None:
    """Copy the text files of a folder under `COUNT` DMR-IR names."""
    files = sorted(source.glob("*.txt"))
    for number in range(COUNT):
        name = f"T{1 + number // 20:04d}.1.1.D.2013-01-16.{number % 20:02d}.txt"
        shutil.copyfile(files[number % len(files)], folder / name)


@contextmanager
def counted() -> Iterator[list[Path]]:
    """The files that are read in full meanwhile."""
    found: list[Path] = []
    read = stack.read_celsius

    def counting(path: Path) -> NDArray[np.float32]:
        found.append(path)
        return read(path)

    stack.read_celsius = counting
    yield found
    stack.read_celsius = read


def main(data: Path) -> None:
    """Print the times and counts as JSON."""
    with tempfile.TemporaryDirectory() as temporary, counted() as read:
        folder = Path(temporary) / "series"
        folder.mkdir()
        copy_series(data / "dmr_ir" / "txt", folder)
        viewer = napari.Viewer()
        viewer.open_sample(PLUGIN, "thermogram")  # the first layer of a session pays for imports
        viewer.layers.clear()
        start, start_cpu = time.perf_counter(), time.process_time()
        (layer,) = viewer.open(str(folder), plugin=PLUGIN)
        opened, count = time.perf_counter() - start, len(read)
        opened_cpu = time.process_time() - start_cpu
        start = time.perf_counter()
        viewer.dims.set_point(0, 117)
        step = time.perf_counter() - start
        result = {
            "frames": layer.data.shape[0],
            "seconds_to_open": round(opened, 2),
            "processor_seconds_to_open": round(opened_cpu, 2),
            "files_read_at_opening": count,
            "seconds_to_another_frame": round(step, 2),
            "files_read_after_it": len(read),
        }
        viewer.close()
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
