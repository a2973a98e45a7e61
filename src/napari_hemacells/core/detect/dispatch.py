"""image → `Cells` by the detector that the user chose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.detect.parts import detect_part_steps, join, plan_steps
from napari_hemacells.core.detect.resume import Finished
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.steps import run_to_end
from napari_hemacells.core.types import Progress

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_hemacells.core.detect.learned.model import Model
    from napari_hemacells.core.detect.plan import Plan
    from napari_hemacells.core.detect.regions import Regions
    from napari_hemacells.core.detect.tiles import Part
    from napari_hemacells.core.params import DetectorName
    from napari_hemacells.core.types import Cells, PartCells, SmearImage


def detect(
    image: SmearImage, params: DetectParams | None = None, *, regions: Regions | None = None
) -> Cells:
    """Return the cells of a smear: :func:`detect_steps` run to its end.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_hemacells.core.image import from_array
    >>> glass = from_array(np.full((60, 80, 3), 230, np.uint8), "glass")
    >>> len(detect(glass, DetectParams(method="classical")))
    0
    """
    return run_to_end(detect_steps(image, params, regions=regions))


def detect_steps(
    image: SmearImage,
    params: DetectParams | None = None,
    *,
    regions: Regions | None = None,
    resume: Path | None = None,
    tile: int | None = None,
    model: Model | None = None,
) -> Generator[Progress, None, Cells]:
    """Return the cells that the chosen detector finds; yield where the work can be stopped.

    The reports count the parts of the image that are done, and bring the cells found since the
    last report. Zero cells is a result, not an error.

    Parameters
    ----------
    regions
        Where cells are looked for; everywhere if there are none.
    resume
        A folder in which every part that is done is kept. Called again with the same folder,
        image and parameters, only the other parts are computed. Remove it when the cells are
        safe (:func:`~napari_hemacells.core.detect.resume.forget`).
    tile, model
        See :func:`~napari_hemacells.core.detect.parts.plan_steps`.

    Raises
    ------
    CellsError
        A diameter in µm without a pixel size.
    EncoderError
        The learned detector's weights are missing or damaged.
    ImageError
        A temperature image.
    StorageError
        The folder to resume from cannot be written.
    """
    params = params or DetectParams()
    plan = yield from plan_steps(image, params, regions=regions, tile=tile, model=model)
    parts = yield from _parts_steps(image, plan, resume, model)
    return join(plan, parts)


def _parts_steps(
    image: SmearImage, plan: Plan, resume: Path | None, model: Model | None
) -> Generator[Progress, None, list[PartCells]]:
    """Return the cells of every part, computed or read back; yield after each."""
    finished = None if resume is None else Finished(resume, plan)
    parts: list[PartCells] = []
    count, total = 0, len(plan.parts)
    yield Progress(0, total, "Looking for cells")
    for part in plan.parts:
        found = None if finished is None else finished.read(part)
        if found is None:
            steps = detect_part_steps(image, plan, part, model=model)
            found = yield from _retold(steps, len(parts), total, count)
            if finished is not None:
                finished.write(part, found)
        parts.append(found)
        count += _answered_for(plan, part, found)
        yield Progress(len(parts), total, f"{count:,} cells found", found)
    return parts


def _answered_for(plan: Plan, part: Part, found: PartCells) -> int:
    """Return how many cells lie in the part: those on its border two parts bring."""
    return int(part.own(found.table[["row", "col"]].to_numpy() * plan.scale).sum())


def _retold(
    steps: Generator[Progress, None, PartCells], done: int, total: int, count: int
) -> Generator[Progress, None, PartCells]:
    """Return what the steps of a part return; tell what it is about where there is one part."""
    while True:
        try:
            phase = next(steps).message
        except StopIteration as end:
            found: PartCells = end.value
            return found
        yield Progress(done, total, phase if total == 1 else f"{count:,} cells found")


def prepare(method: DetectorName, weights: Path | None = None) -> None:
    """Load what the detector needs, once; a front end may choose when that happens.

    Raises
    ------
    EncoderError
        The learned detector's weights are missing or damaged.
    """
    if method == "learned":
        from napari_hemacells.core.detect.learned.model import model_for

        model_for(weights)
