"""Detection of the cells of an image with the chosen detector, as a whole or part by part.

The image is divided into parts; their cells can be found anywhere and in any order::

    plan = run_to_end(plan_steps(image, params))
    cells = stitch(plan, [detect_part(image, plan, part) for part in plan.parts])

Plans, parts and their cells can be pickled, so parts may be processed in other processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_hemacells.core.detect.checkpoint import DetectionCheckpoint
from napari_hemacells.core.detect.stitching import stitch
from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.types import PartCells, Progress
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_hemacells.core.detect.learned.model import DetectorModel
    from napari_hemacells.core.detect.plan import Plan
    from napari_hemacells.core.detect.regions import Regions
    from napari_hemacells.core.detect.tiling import Part
    from napari_hemacells.core.params import DetectorName
    from napari_hemacells.core.types import Cells, SmearImage


@dataclass
class PartialDetection:
    """What a detection has found so far: its plan, and the cells of the parts that are done."""

    plan: Plan | None = None
    parts: list[PartCells] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def cells(self) -> Cells | None:
        """Return the cells found so far, joined across the borders of parts; None before any."""
        parts = [part for part in self.parts if len(part)]
        return None if self.plan is None or not parts else stitch(self.plan, parts)


def plan_steps(
    image: SmearImage,
    params: DetectParams,
    *,
    regions: Regions | None = None,
    tile: int | None = None,
    model: DetectorModel | None = None,
) -> Generator[Progress, None, Plan]:
    """Yield the progress of the measurements; return the plan of the image's parts.

    Parameters
    ----------
    regions
        Regions to search; parts that touch none are left out.
    tile
        Side of a part in pixels of the working grid, a multiple of 16; it hardly changes the
        result.
    model
        Another learned detector than the one in `params`.

    Raises
    ------
    CellsError
        A diameter in µm without a pixel size.
    EncoderError
        The learned detector's weights are missing or damaged.
    ImageError
        A temperature image.
    """
    if image.modality != "colour":
        raise ImageError(f"{image.name} holds temperatures: choose an image of a stained smear.")
    if params.method == "learned":
        from napari_hemacells.core.detect.learned.inference import learned_plan_steps

        return learned_plan_steps(image, params, regions=regions, tile=tile, model=model)
    from napari_hemacells.core.detect.classical.pipeline import classical_plan_steps

    return classical_plan_steps(image, params, regions=regions, tile=tile)


def detect_part(
    image: SmearImage, plan: Plan, part: Part, *, model: DetectorModel | None = None
) -> PartCells:
    """Return the cells of a part; :func:`detect_part_steps` run to its end."""
    return run_to_end(detect_part_steps(image, plan, part, model=model))


def detect_part_steps(
    image: SmearImage, plan: Plan, part: Part, *, model: DetectorModel | None = None
) -> Generator[Progress, None, PartCells]:
    """Yield the progress (the work can stop there); return a part's cells.

    Parameters
    ----------
    model
        The learned detector, if not the one in the plan's parameters.

    Raises
    ------
    EncoderError
        The learned detector's weights are missing or damaged.
    ImageError
        The pixels of the part cannot be read.
    """
    if plan.method == "learned":
        from napari_hemacells.core.detect.learned.inference import detect_learned_part
        from napari_hemacells.core.detect.learned.model import model_for

        return detect_learned_part(image, plan, part, model or model_for(plan.params.weights))
    from napari_hemacells.core.detect.classical.pipeline import detect_classical_part_steps

    return (yield from detect_classical_part_steps(image, plan, part))


def detect(
    image: SmearImage, params: DetectParams | None = None, *, regions: Regions | None = None
) -> Cells:
    """Return the cells of a smear: :func:`detect_steps` run to its end.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_hemacells.core.image import image_from_array
    >>> glass = image_from_array(np.full((60, 80, 3), 230, np.uint8), "glass")
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
    partial: PartialDetection | None = None,
    tile: int | None = None,
    model: DetectorModel | None = None,
) -> Generator[Progress, None, Cells]:
    """Yield the progress (the work can stop there); return the detected cells.

    The reports count the finished parts and hold the cells found since the last report. Zero cells
    is a result, not an error.

    Parameters
    ----------
    regions
        Regions to search; everywhere if there are none.
    resume
        A folder for finished parts. Called again with the same folder, image and parameters, only
        the other parts are computed. Remove it when the cells are saved
        (:func:`~napari_hemacells.core.detect.checkpoint.remove_checkpoint`).
    partial
        Filled with the plan and every part that is done, so that the cells found so far can be
        had where the steps are not run to their end.
    tile, model
        See :func:`~napari_hemacells.core.detect.pipeline.plan_steps`.

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
    partial = PartialDetection() if partial is None else partial
    partial.plan = plan
    yield from _parts_steps(image, plan, partial.parts, resume, model)
    return stitch(plan, partial.parts)


def _parts_steps(
    image: SmearImage,
    plan: Plan,
    parts: list[PartCells],
    resume: Path | None,
    model: DetectorModel | None,
) -> Generator[Progress, None, None]:
    """Add the cells of every part to `parts`, computed or read back; yield after each."""
    finished = None if resume is None else DetectionCheckpoint(resume, plan)
    count, total = 0, len(plan.parts)
    yield Progress(0, total, "Looking for cells")
    for part in plan.parts:
        part_cells = None if finished is None else finished.read(part)
        if part_cells is None:
            steps = detect_part_steps(image, plan, part, model=model)
            part_cells = yield from _relay_progress(steps, len(parts), total, count)
            if finished is not None:
                finished.write(part, part_cells)
        parts.append(part_cells)
        count += _count_in_core(plan, part, part_cells)
        yield Progress(len(parts), total, f"{count:,} cells found", part_cells)


def _count_in_core(plan: Plan, part: Part, part_cells: PartCells) -> int:
    """Return how many cells have their centre in the part, so that none counts twice."""
    return int(part.own(part_cells.table[["row", "col"]].to_numpy() * plan.scale).sum())


def _relay_progress(
    steps: Generator[Progress, None, PartCells], done: int, total: int, count: int
) -> Generator[Progress, None, PartCells]:
    """Run the steps of a part; report their phase if it is the only part."""
    while True:
        try:
            phase = next(steps).message
        except StopIteration as end:
            part_cells: PartCells = end.value
            return part_cells
        yield Progress(done, total, phase if total == 1 else f"{count:,} cells found")


def preload_detector(method: DetectorName, weights: Path | None = None) -> None:
    """Load the detector once, at a time that the front end chooses.

    Raises
    ------
    EncoderError
        The learned detector's weights are missing or damaged.
    """
    if method == "learned":
        from napari_hemacells.core.detect.learned.model import model_for

        model_for(weights)


def detect_classical(image: SmearImage, params: DetectParams | None = None) -> Cells:
    """Return the cells of a smear: :func:`detect_classical_steps` run to its end."""
    return run_to_end(detect_classical_steps(image, params))


def detect_classical_steps(
    image: SmearImage, params: DetectParams | None = None, *, tile: int | None = None
) -> Generator[Progress, None, Cells]:
    """Yield the progress; return the cells.

    Parameters
    ----------
    tile
        See :func:`~napari_hemacells.core.detect.pipeline.plan_steps`.

    Raises
    ------
    CellsError
        A diameter in µm without a pixel size.
    ImageError
        A temperature image.
    """
    params = (params or DetectParams()).model_copy(update={"method": "classical"})
    return detect_steps(image, params, tile=tile)


def detect_learned(image: SmearImage, params: DetectParams | None = None) -> Cells:
    """Return the red cells, white cells and platelets of a stained smear.

    See :func:`detect_learned_steps`, which this runs to its end.
    """
    return run_to_end(detect_learned_steps(image, params))


def detect_learned_steps(
    image: SmearImage,
    params: DetectParams | None = None,
    *,
    model: DetectorModel | None = None,
    tile: int | None = None,
) -> Generator[Progress, None, Cells]:
    """Yield the progress part by part; return the cells.

    Parameters
    ----------
    model
        Another detector than the one in `params`, as after fine-tuning.
    tile
        See :func:`~napari_hemacells.core.detect.pipeline.plan_steps`.

    Raises
    ------
    ImageError
        A temperature image.
    CellsError
        A diameter in µm without a pixel size.
    EncoderError
        The weights are missing or damaged.
    """
    params = (params or DetectParams()).model_copy(update={"method": "learned"})
    return detect_steps(image, params, model=model, tile=tile)
