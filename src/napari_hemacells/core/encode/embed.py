"""Embeddings of the cells of an image, batch by batch, as a generator that can be stopped."""

from __future__ import annotations

import os
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import get_native_id
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.crop import extract_crops, from_picture, sort_by_tile
from napari_hemacells.core.encode.growing import GrowingEmbeddings
from napari_hemacells.core.encode.morphology import (
    append_features,
    feature_scaling_of,
    measure_cells,
)
from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.types import Embeddings, Progress
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.encode.cache import EmbeddingCache
    from napari_hemacells.core.encode.protocol import Encoder
    from napari_hemacells.core.types import Cells, CropSpec, EncoderInfo, SmearImage

BEHIND = 5  # steps of niceness: the window's thread then has three times as much time


def embed_steps(
    image: SmearImage,
    cells: Cells,
    spec: CropSpec,
    encoder: Encoder,
    cache: EmbeddingCache | None = None,
    *,
    batch_size: int = 32,
    measured: bool = False,
    like: EncoderInfo | None = None,
    growing: GrowingEmbeddings | None = None,
) -> Generator[Progress, None, Embeddings]:
    """Return one vector per cell, in the order of the table; yield after each batch.

    Cells are embedded tile by tile, so that each part of a file is read once, and only if their
    vector is not in the cache. When the generator is closed early, finished vectors stay in the
    cache. A cache that cannot be written does not stop the work; the last report says so. The
    reports also say if a batch was too large for the memory.

    Parameters
    ----------
    measured
        Whether to append the size, nucleus and colour of the cells to the embedding.
    like
        A model's encoder: features are appended as they were there.
    growing
        Filled with each vector as it comes, and asked which cells are to be next.
    """
    total, key = len(cells), _cache_key(image, cells)
    vectors = np.zeros((total, encoder.info.dim), dtype=np.float32)
    known = np.zeros(total, dtype=np.bool_)
    if cache is not None:
        vectors, known = cache.load(key, encoder.info, spec, cells.boxes)
    learned_from = cells.learned_from(image.modality)
    embeddings = Embeddings(
        cells.ids, vectors, encoder.info, spec, image.key, learned_from, cells.kinds
    )
    patient = growing is not None  # somebody looks on
    growing = GrowingEmbeddings() if growing is None else growing
    growing.begin(embeddings, known)
    pending = sort_by_tile(cells.boxes[:, :2], np.flatnonzero(~known))
    yield Progress(total - len(pending), total, "Embedding cells")
    warning = ""
    try:
        cut = partial(_cut, image, cells, spec)
        batches = growing.batches(pending, batch_size)
        with ThreadPoolExecutor(1, "encoder", yield_to_others if patient else None) as lane:
            for batch, crops in _prefetch_crops(cut, batches):
                growing.add(batch, lane.submit(encoder.encode, crops).result())
                note = with_memory_note(encoder, "Embedding cells")
                yield Progress(int(known.sum()), total, note)
    finally:
        if cache is not None and len(pending):
            try:
                cache.save(key, encoder.info, spec, cells.boxes[known], vectors[known])
            except StorageError as error:
                warning = str(error)
    if warning:
        yield Progress(total, total, warning)
    if not (measured if like is None else feature_scaling_of(like) is not None):
        return embeddings
    yield Progress(total, total, "Measuring cells")
    embeddings = append_features(embeddings, measure_cells(image, cells), like)
    if cache is not None and not warning:
        cache.save(key, embeddings.encoder, spec, cells.boxes, embeddings.vectors)
    return embeddings


def _cache_key(image: SmearImage, cells: Cells) -> str:
    """Name the cells' vectors in the cache: by image, of whole pictures by their framing too."""
    return image.key if cells.context is None else f"{image.key}-{cells.context:.4f}"


def with_memory_note(encoder: Encoder, message: str) -> str:
    """Return the message, with a note if the memory was too small for a batch."""
    largest = getattr(encoder, "largest_batch", None)
    if largest is None:
        return message
    crops = "1 crop" if largest == 1 else f"{largest} crops"
    return f"{message}; the memory holds only {crops} at once"


def _cut(
    image: SmearImage, cells: Cells, spec: CropSpec, batch: NDArray[np.intp]
) -> NDArray[np.uint8]:
    return extract_crops(image, cells, spec, cells.ids[batch].tolist())


def yield_to_others() -> None:
    """Let this thread, and those that it starts, go behind the others of the program.

    Where the processor has few cores a network takes all of them, and a window would wait.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            thread = get_native_id()
            os.setpriority(
                os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + BEHIND
            )


def _prefetch_crops(
    cut: Callable[[NDArray[np.intp]], NDArray[np.uint8]], batches: Iterator[NDArray[np.intp]]
) -> Generator[tuple[NDArray[np.intp], NDArray[np.uint8]], None, None]:
    """Yield each batch with its crops; the next crops are cut while the network runs."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="crops") as pool:
        coming: deque[tuple[NDArray[np.intp], Future[NDArray[np.uint8]]]] = deque()
        for batch in batches:
            coming.append((batch, pool.submit(cut, batch)))
            if len(coming) > 1:
                ready, crops = coming.popleft()
                yield ready, crops.result()
        for ready, crops in coming:
            yield ready, crops.result()


def embed(
    image: SmearImage,
    cells: Cells,
    spec: CropSpec,
    encoder: Encoder,
    cache: EmbeddingCache | None = None,
    *,
    batch_size: int = 32,
) -> Embeddings:
    """Return one vector per cell: :func:`embed_steps` run to its end."""
    return run_to_end(embed_steps(image, cells, spec, encoder, cache, batch_size=batch_size))


def embed_pictures_steps(
    pictures: Sequence[NDArray[np.uint8]],
    spec: CropSpec,
    encoder: Encoder,
    *,
    framing: float = 1.0,
    batch_size: int = 32,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Return ``(n, dim)`` vectors of pictures that show one cell each; yield after each batch.

    `framing` is that of :func:`napari_hemacells.core.crop.from_picture`.
    """
    vectors = np.zeros((len(pictures), encoder.info.dim), dtype=np.float32)
    for start in range(0, len(pictures), batch_size):
        batch = pictures[start : start + batch_size]
        crops = np.stack([from_picture(picture, spec, framing=framing) for picture in batch])
        vectors[start : start + len(batch)] = encoder.encode(crops)
        yield Progress(
            start + len(batch), len(pictures), with_memory_note(encoder, "Embedding pictures")
        )
    return vectors
