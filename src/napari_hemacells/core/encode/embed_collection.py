"""Embeddings of a collection of pictures, batch by batch, kept on disk block by block."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.encode.embed import embed_steps, with_memory_note
from napari_hemacells.core.encode.morphology import (
    append_features,
    feature_scaling_of,
    measure_pictures,
)
from napari_hemacells.core.errors import ImageError, StorageError
from napari_hemacells.core.pictures import in_threads
from napari_hemacells.core.pictures.contact_sheet import sheet_of
from napari_hemacells.core.types import Embeddings, Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.encode.cache import EmbeddingCache
    from napari_hemacells.core.encode.growing import GrowingEmbeddings
    from napari_hemacells.core.encode.protocol import Encoder
    from napari_hemacells.core.pictures import CellPictures
    from napari_hemacells.core.types import Cells, CropSpec, EncoderInfo, SmearImage

BLOCK = 2048  # pictures whose vectors are one file of the cache
MESSAGE = "Embedding pictures"


def embed_collection_steps(
    pictures: CellPictures,
    spec: CropSpec,
    encoder: Encoder,
    cache: EmbeddingCache | None = None,
    *,
    numbers: Iterable[int] | None = None,
    framing: float | None = None,
    batch_size: int = 32,
    measured: bool = False,
    like: EncoderInfo | None = None,
) -> Generator[Progress, None, Embeddings]:
    """Return one vector per readable picture, by its number; yield after each batch.

    Pictures are read ahead in threads. The cache holds them by content, in blocks of 2,048, and
    each block is written when it is done and when the generator is closed early, so that at most
    a batch is lost. A cache that cannot be written does not stop the work; a report says so.

    Parameters
    ----------
    numbers
        The pictures wanted; all if not given. Those that cannot be read are left out, and said in
        ``pictures.unreadable``.
    framing
        As of :meth:`~napari_hemacells.core.pictures.CellPictures.crops`.
    measured
        Whether to append the size, nucleus and colour of the cells to the embedding.
    like
        A model's encoder: features are appended as they were there.
    """
    wanted = [int(number) for number in (pictures.numbers if numbers is None else numbers)]
    part = pictures.framing(spec) if framing is None else framing
    vectors = np.zeros((len(wanted), encoder.info.dim), dtype=np.float32)
    known = np.zeros(len(wanted), dtype=np.bool_)
    yield Progress(0, len(wanted), MESSAGE)
    tried = 0
    for block, rows in _blocks(wanted):
        store = _Block(pictures, [wanted[row] for row in rows], part, block, cache)
        steps = store.steps(encoder, spec, batch_size)
        try:
            for progress in steps:
                yield replace(progress, done=progress.done + tried, total=len(wanted))
        finally:
            steps.close()
        tried += len(rows)
        vectors[rows], known[rows] = store.vectors, store.known
    ids = np.array(wanted, dtype=np.int64)[known]
    embeddings = Embeddings(
        ids, vectors[known], encoder.info, spec, pictures.key, pictures.learned_from
    )
    if not (measured if like is None else feature_scaling_of(like) is not None):
        return embeddings
    yield Progress(len(wanted), len(wanted), "Measuring cells")
    features = measure_pictures(_pixels(pictures, ids.tolist()), len(ids))
    return append_features(embeddings, replace(features, ids=ids), like)


def embed_cells_steps(
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
    """Return one vector per cell of an image, or per picture of a contact sheet.

    As :func:`~napari_hemacells.core.encode.embed.embed_steps`, or
    :func:`embed_collection_steps` of the sheet's pictures.
    """
    sheet = sheet_of(image)
    if sheet is None:
        return (
            yield from embed_steps(
                image, cells, spec, encoder, cache,
                batch_size=batch_size, measured=measured, like=like, growing=growing,
            )
        )  # fmt: skip
    return (
        yield from embed_collection_steps(
            sheet.pictures, spec, encoder, cache, numbers=cells.ids.tolist(),
            batch_size=batch_size, measured=measured, like=like,
        )
    )  # fmt: skip


def cached_collection(
    pictures: CellPictures,
    spec: CropSpec,
    encoder: EncoderInfo,
    cache: EmbeddingCache,
    numbers: Iterable[int],
) -> Embeddings:
    """The embeddings of those pictures that the cache holds; no picture is opened."""
    wanted, part = [int(number) for number in numbers], pictures.framing(spec)
    vectors = np.zeros((len(wanted), encoder.dim), dtype=np.float32)
    known = np.zeros(len(wanted), dtype=np.bool_)
    for block, rows in _blocks(wanted):
        store = _Block(pictures, [wanted[row] for row in rows], part, block, cache)
        vectors[rows], known[rows] = store.load(encoder, spec)
    ids = np.array(wanted, dtype=np.int64)[known]
    return Embeddings(ids, vectors[known], encoder, spec, pictures.key, pictures.learned_from)


class _Block:
    """The vectors of some neighbouring pictures."""

    def __init__(
        self,
        pictures: CellPictures,
        numbers: Sequence[int],
        framing: float,
        block: int,
        cache: EmbeddingCache | None,
    ) -> None:
        self._pictures, self._numbers, self._framing = pictures, numbers, framing
        self._cache = cache
        depths = "".join(f"-{depth.bits}at{depth.offset}" for depth in pictures.depths)
        self._key = f"{pictures.key}-{block}-{framing:.4f}{depths}"
        self.vectors = np.zeros((len(numbers), 0), dtype=np.float32)
        self.known = np.zeros(len(numbers), dtype=np.bool_)

    def steps(
        self, encoder: Encoder, spec: CropSpec, batch_size: int
    ) -> Generator[Progress, None, None]:
        """Embed what the cache does not hold; progress counts pictures of this block."""
        count = len(self._numbers)
        self.vectors = np.zeros((count, encoder.info.dim), dtype=np.float32)
        digests = np.zeros((count, 4), dtype=np.int64)
        if self._cache is not None:
            digests = self._pictures.digests(self._numbers)
            self.vectors, self.known = self._cache.load(self._key, encoder.info, spec, digests)
            self.known &= digests.any(axis=1)
        pending = np.flatnonzero(~self.known)
        warning = ""
        try:
            for batch, crops in self._read(pending, spec, batch_size):
                if len(crops):
                    self.vectors[batch] = encoder.encode(crops)
                    self.known[batch] = True
                done = count - len(pending) + int(np.searchsorted(pending, batch[-1])) + 1
                yield Progress(done, count, with_memory_note(encoder, MESSAGE))
        finally:
            if self._cache is not None and self.known[pending].any():
                warning = self._save(encoder.info, spec, digests)
        yield Progress(count, count, warning or MESSAGE)

    def load(
        self, encoder: EncoderInfo, spec: CropSpec
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """``(n, dim)`` vectors from the cache, and ``(n,)`` which were there."""
        count = len(self._numbers)
        if self._cache is None:
            return np.zeros((count, encoder.dim), np.float32), np.zeros(count, np.bool_)
        digests = self._pictures.digests(self._numbers)
        vectors, known = self._cache.load(self._key, encoder, spec, digests)
        return vectors, known & digests.any(axis=1)

    def _save(self, info: EncoderInfo, spec: CropSpec, digests: NDArray[np.int64]) -> str:
        """Keep what is known; return what went wrong, or an empty text."""
        if self._cache is None:
            return ""
        kept = self.known & digests.any(axis=1)
        try:
            self._cache.save(self._key, info, spec, digests[kept], self.vectors[kept])
        except StorageError as error:
            return str(error)
        return ""

    def _read(
        self, pending: NDArray[np.intp], spec: CropSpec, batch_size: int
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[Any]]]:
        """Yield places with their crops; batches without the pictures that cannot be read."""
        cut = partial(self._pictures.crop_or_none, spec=spec, framing=self._framing)
        numbers = (self._numbers[row] for row in pending)
        rows, crops = list[int](), list["NDArray[Any]"]()
        with closing(in_threads(cut, numbers)) as opened:
            for row, crop in zip(pending.tolist(), opened, strict=True):
                if crop is not None:
                    rows.append(row)
                    crops.append(crop)
                if len(crops) == batch_size:
                    yield np.array(rows), np.stack(crops)
                    rows, crops = [], []
        if crops:
            yield np.array(rows), np.stack(crops)


def _blocks(numbers: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Yield each block with the places of its numbers, in ascending order of the blocks."""
    by_block: dict[int, list[int]] = {}
    for row, number in enumerate(numbers):
        by_block.setdefault((number - 1) // BLOCK, []).append(row)
    yield from sorted(by_block.items())


def _pixels(pictures: CellPictures, numbers: Sequence[int]) -> Iterator[NDArray[Any]]:
    for number in numbers:
        try:
            yield pictures.pixels(number)
        except ImageError:  # was there a moment ago
            yield np.full((8, 8, 3), 255, np.uint8)
