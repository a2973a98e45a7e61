"""``hemacells classify --whole --workers N``: pictures shared among processes, in portions."""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.cli.parallel import limit_torch_threads
from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.types import Prediction, Progress
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from napari_hemacells.core.encode import Encoder
    from napari_hemacells.core.params import NetworkParams
    from napari_hemacells.core.pictures import CellPictures
    from napari_hemacells.core.store import Bundle

PORTION = 512  # pictures a process takes at once; their vectors are kept together


@dataclass(frozen=True)
class PortionJob:
    """What a process needs to classify pictures.

    Attributes
    ----------
    encoder
        Where the model's encoder is, if it is not found automatically.
    cache
        The folder for the vectors.
    """

    pictures: "CellPictures"
    bundle: "Bundle"
    encode: "NetworkParams"
    encoder: str | None
    cache: Path

    def load_encoder(self) -> "Encoder":
        """Return the model's encoder."""
        from napari_hemacells.core import encode

        if self.encoder is None:
            return self.bundle.make_encoder(self.encode.device)
        return encode.load_encoder(self.encoder, self.encode.device)


@dataclass(frozen=True, eq=False)
class PortionResult:
    """What became of some pictures; ``prediction`` is ``None`` where none can be read."""

    prediction: Prediction | None
    unreadable: dict[int, str]


class PortionWorker:
    """A job with its encoder, loaded once for each process."""

    current: "PortionWorker | None" = None

    def __init__(self, job: PortionJob) -> None:
        self.job, self.encoder = job, job.load_encoder()

    def classify(self, numbers: Sequence[int]) -> PortionResult:
        """Classify the pictures of these numbers."""
        from napari_hemacells.core.encode import EmbeddingCache
        from napari_hemacells.core.store.picture_classes import classify_pictures_steps

        job = self.job
        steps = classify_pictures_steps(
            job.pictures,
            job.bundle,
            self.encoder,
            EmbeddingCache(job.cache / f"from {numbers[0]:06d}"),
            numbers=numbers,
            batch_size=job.encode.batch_size,
        )
        try:
            prediction = run_to_end(steps)
        except ImageError:
            prediction = None
        asked = set(numbers)
        why = {number: text for number, text in job.pictures.unreadable.items() if number in asked}
        return PortionResult(prediction, why)


def classify_in_processes_steps(
    job: PortionJob, workers: int
) -> Generator[Progress, None, Prediction]:
    """Return the classes of all pictures in the order of their numbers; yield after each portion.

    Each process uses one thread for the network. What cannot be read is said in
    ``job.pictures.unreadable``.

    Raises
    ------
    ImageError
        Not one picture can be read.
    """
    sent = replace(job, bundle=replace(job.bundle))  # without a head that was made of it
    numbers = [int(number) for number in job.pictures.numbers]
    portions = [numbers[at : at + PORTION] for at in range(0, len(numbers), PORTION)]
    done, results = 0, dict[int, PortionResult]()
    yield Progress(0, len(numbers), f"Classifying pictures ({workers} processes)")
    for portion_index, result in _finished(sent, portions, workers):
        results[portion_index] = result
        done += len(portions[portion_index])
        job.pictures.unreadable.update(result.unreadable)
        yield Progress(done, len(numbers), f"Classifying pictures ({workers} processes)")
    return join_predictions([results[portion_index] for portion_index in sorted(results)])


def _finished(
    job: PortionJob, portions: Sequence[Sequence[int]], workers: int
) -> Iterator[tuple[int, PortionResult]]:
    """Yield the place and the result of each portion as it is done."""
    pool = ProcessPoolExecutor(
        min(workers, len(portions)), get_context("spawn"), _start_worker, (job,)
    )
    try:
        waiting: dict[Future[PortionResult], int] = {
            pool.submit(_run_portion, portion): portion_index
            for portion_index, portion in enumerate(portions)
        }
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(job: PortionJob) -> None:
    PortionWorker.current = PortionWorker(job)
    limit_torch_threads()


def _run_portion(numbers: Sequence[int]) -> PortionResult:
    if PortionWorker.current is None:
        raise RuntimeError("this process was not started as a worker")
    return PortionWorker.current.classify(numbers)


def join_predictions(results: Sequence[PortionResult]) -> Prediction:
    """Return the predictions of all portions as one, in their order.

    Raises
    ------
    ImageError
        Not one picture can be read.
    """
    parts = [result.prediction for result in results if result.prediction is not None]
    if not parts:
        reasons = [text for result in results for text in result.unreadable.values()]
        raise ImageError(f"None of the pictures can be read. {reasons[0] if reasons else ''}")
    unknown = [part.unknown for part in parts if part.unknown is not None]
    verdicts = [part.is_unknown for part in parts if part.is_unknown is not None]
    return replace(
        parts[0],
        ids=np.concatenate([part.ids for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        unknown=np.concatenate(unknown) if unknown else None,
        is_unknown=np.concatenate(verdicts) if verdicts else None,
    )
