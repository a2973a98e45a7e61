"""``hemacells detect IMAGE… --out DIR``: the cells of each image as a table and a label image."""

from typing import Any

from napari_hemacells.cli.batch import end, find_sources, run_batch
from napari_hemacells.cli.console import Reporter, output_folder
from napari_hemacells.cli.found import find_cells
from napari_hemacells.cli.options import (
    CpuDevice,
    Images,
    JsonTarget,
    OutFolder,
    OwnCells,
    RunOptions,
)
from napari_hemacells.cli.sources import Source
from napari_hemacells.cli.tally import count, in_words
from napari_hemacells.core.params import DetectParams


def detect(
    images: Images,
    *,
    out: OutFolder,
    cells: OwnCells = None,
    json: JsonTarget = None,
    params: DetectParams,
    device: CpuDevice = "auto",  # noqa: ARG001  # the same options for every command
    run: RunOptions,
) -> None:
    """Detect the cells of images: NAME.cells.csv and NAME.labels.tif for each.

    Images of the same name are kept apart: the folder's name goes before theirs.
    """
    from napari_hemacells.core.store import detected_table

    reporter = Reporter(quiet=run.quiet, json_to=json)
    folder = output_folder(out)

    def work(source: Source) -> dict[str, Any]:
        found = find_cells(source, cells, params, reporter)
        kinds = count(found.cells.table["class"])
        written = found.write(detected_table(found.cells), folder)
        told = f"{len(found.cells)} cells ({in_words(kinds)})"
        reporter.tell(f"{source.path}: {told} → {written['csv']}")
        return {**found.describe(), "by_class": kinds, **written}

    batch = run_batch(find_sources(images, reporter), work, reporter, debug=run.debug)
    reporter.finish(batch.to_dict())
    end(batch)
