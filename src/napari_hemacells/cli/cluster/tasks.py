"""What workers are asked to do. Small things travel: names, plans and counts; images do not."""

from collections.abc import Sequence
from functools import lru_cache, partial

from napari_hemacells.cli.cluster.equipment import equipment
from napari_hemacells.cli.found import Found
from napari_hemacells.cli.job import Failed, Job, Outcome, Record, attempt, is_large
from napari_hemacells.cli.sources import Source
from napari_hemacells.core.detect.parts import (
    Part,
    PartCells,
    Plan,
    detect_part,
    join,
    plan_steps,
)
from napari_hemacells.core.detect.resume import Finished
from napari_hemacells.core.steps import run_to_end
from napari_hemacells.core.types import SmearImage


def begin(name: str, source: Source, seen: bool) -> Outcome | Plan:
    """Return what came of an image, or of a large one the plan, its parts not yet done.

    Parameters
    ----------
    name
        That of the run's equipment.
    source
        The image.
    seen
        Whether the command sees the image: then the worker must see it too.
    """
    return attempt(partial(_begin, name, source, seen))


def do_parts(name: str, source: Source, plan: Plan, places: Sequence[int]) -> int | Failed:
    """Return how many cells there are in some parts of a large image, kept on the disk."""
    return attempt(partial(_do_parts, name, source, plan, places))


def end(name: str, source: Source, plan: Plan) -> Outcome:
    """Return what came of a large image all of whose parts are on the disk."""
    return attempt(partial(_end, name, source, plan))


def _begin(name: str, source: Source, seen: bool) -> Record | Plan:
    tools = equipment(name)
    job = tools.job
    if seen:
        tools.check_sight(source)
    image = job.read(source)
    if job.own is not None or not is_large(image):
        return run_to_end(job.steps_of(source, image, tools.finish))
    if not job.go_on:
        job.forget_parts(source)
    plan = run_to_end(plan_steps(image, job.params))
    Finished(job.parts_folder(source), plan)  # made by one worker, before others look into it
    return plan


def _do_parts(name: str, source: Source, plan: Plan, places: Sequence[int]) -> int:
    tools = equipment(name)
    tools.check_sight(source)
    finished = Finished(tools.job.parts_folder(source), plan)
    parts = [plan.parts[place] for place in places]
    return sum(len(_cells_of(tools.job, source, plan, part, finished)) for part in parts)


def _end(name: str, source: Source, plan: Plan) -> Record:
    tools = equipment(name)
    tools.check_sight(source)
    finished = Finished(tools.job.parts_folder(source), plan)
    found = [_cells_of(tools.job, source, plan, part, finished) for part in plan.parts]
    image = _opened(tools.job, source)
    record = run_to_end(tools.finish(Found(source, image, join(plan, found))))
    tools.job.forget_parts(source)
    return record


def _cells_of(job: Job, source: Source, plan: Plan, part: Part, finished: Finished) -> PartCells:
    """Return the cells of a part, read back or, where it is missing, computed and kept."""
    found = finished.read(part)
    if found is None:
        found = detect_part(_opened(job, source), plan, part)
        finished.write(part, found)
    return found


@lru_cache(maxsize=1)
def _opened(job: Job, source: Source) -> SmearImage:
    """Return the image that this worker's last part was of, opened once."""
    return job.read(source)
