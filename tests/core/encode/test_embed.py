"""Embedding in batches, stopped and resumed; the cache on disk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from napari_hemacells.core.crop import TILE, extract_crops, sort_by_tile
from napari_hemacells.core.encode import EmbeddingCache, embed, embed_pictures_steps, embed_steps
from napari_hemacells.core.encode.protocol import Encoder, fingerprint
from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.types import BOX_COLUMNS, Cells, CropSpec, SmearImage
from napari_hemacells.core.types.progress import run_to_end

SPEC = CropSpec(16)


@pytest.fixture
def cache(tmp_path):
    return EmbeddingCache(tmp_path / "embeddings")


def test_the_fake_is_an_encoder(encoder):
    assert isinstance(encoder, Encoder)


def test_one_vector_a_cell_in_the_order_of_the_table(image, cells, encoder):
    embeddings = embed(image, cells, SPEC, encoder, batch_size=3)
    np.testing.assert_array_equal(embeddings.ids, cells.ids)
    np.testing.assert_array_equal(
        embeddings.vectors, encoder.encode(extract_crops(image, cells, SPEC))
    )
    assert embeddings.image_key == image.key


def test_progress_counts_the_cells(image, cells, encoder):
    reports = list(embed_steps(image, cells, SPEC, encoder, batch_size=3))
    assert [report.done for report in reports] == [0, 3, 6, 7]
    assert {report.total for report in reports} == {7}


def test_nothing_is_embedded_twice(image, cells, encoder, cache):
    first = embed(image, cells, SPEC, encoder, cache)
    second = embed(image, cells, SPEC, encoder, cache)
    assert encoder.encoded == len(cells)
    np.testing.assert_array_equal(first.vectors, second.vectors)


def test_only_changed_cells_are_embedded_again(image, cells, encoder, cache):
    embed(image, cells, SPEC, encoder, cache)
    table = cells.table.copy()
    table.loc[2, "max_row"] += 3
    table["label"] += 10  # ids do not matter: the box does
    changed = Cells(cells.labels, table, cells.diameter)
    embeddings = embed(image, changed, SPEC, encoder, cache)
    assert encoder.encoded == len(cells) + 1
    expected = encoder.encode(extract_crops(image, changed, SPEC))
    np.testing.assert_array_equal(embeddings.vectors, expected)


def test_what_was_made_before_a_stop_is_kept(image, cells, encoder, cache):
    steps = embed_steps(image, cells, SPEC, encoder, cache, batch_size=2)
    next(steps)
    next(steps)
    steps.close()
    assert encoder.encoded == 2
    embed(image, cells, SPEC, encoder, cache)
    assert encoder.encoded == len(cells)


@pytest.mark.parametrize("content", [b"", b"rubbish", None])
def test_a_damaged_cache_is_computed_again(image, cells, encoder, cache, content):
    embed(image, cells, SPEC, encoder, cache)
    (file,) = cache.folder.iterdir()
    file.write_bytes(file.read_bytes()[:-9] if content is None else content)
    embeddings = embed(image, cells, SPEC, encoder, cache)
    assert encoder.encoded == 2 * len(cells)
    np.testing.assert_array_equal(
        cache.load(image.key, encoder.info, SPEC, cells.boxes)[0], embeddings.vectors
    )


def test_another_crop_or_encoder_is_another_file(cache, encoder):
    other = replace(encoder.info, sha256="1" * 64)
    paths = {
        cache.path("a", encoder.info, SPEC),
        cache.path("b", encoder.info, SPEC),
        cache.path("a", encoder.info, SPEC.with_context(2)),
        cache.path("a", other, SPEC),
    }
    assert len(paths) == 4
    assert fingerprint(other) != fingerprint(encoder.info)


def test_no_cells_need_no_encoder(image, cells, encoder, cache):
    none = Cells(cells.labels, cells.table.iloc[:0], 9.0)
    assert embed(image, none, SPEC, encoder, cache).vectors.shape == (0, 6)
    assert not cache.folder.exists()


def test_a_folder_that_cannot_be_written_does_not_stop_the_work(image, cells, encoder, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    cache = EmbeddingCache(tmp_path / "file" / "embeddings")
    reports = list(embed_steps(image, cells, SPEC, encoder, cache))
    assert "cannot be kept" in reports[-1].message
    with pytest.raises(StorageError, match="cannot be kept"):
        cache.save(image.key, encoder.info, SPEC, cells.boxes, np.zeros((7, 6), np.float32))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    image, cells, encoder, cache, monkeypatch
):
    embed(image, cells, SPEC, encoder, cache)
    before = {file.name: file.read_bytes() for file in cache.folder.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(StorageError, match="No space left"):
        cache.save(image.key, encoder.info, SPEC, cells.boxes, np.ones((7, 6), np.float32))
    assert {file.name: file.read_bytes() for file in cache.folder.iterdir()} == before


def test_pictures_of_any_size(encoder):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (r, c, 3), dtype=np.uint8) for r, c in [(9, 9), (30, 20)]]
    vectors = run_to_end(embed_pictures_steps(pictures, SPEC, encoder, batch_size=1))
    assert vectors.shape == (2, 6)


class LazyStripes:
    """Pixels of a large image, which notes every chunk that a cache of four does not hold."""

    ndim, dtype = 3, np.dtype(np.uint8)

    def __init__(self, shape, chunk):
        self.shape, self.chunk = (*shape, 3), chunk
        self.kept, self.reads = [], 0

    def __getitem__(self, key):
        rows, cols = key[:2]
        for row in range(rows.start // self.chunk, (rows.stop - 1) // self.chunk + 1):
            for col in range(cols.start // self.chunk, (cols.stop - 1) // self.chunk + 1):
                self.reads += (row, col) not in self.kept
                others = [one for one in self.kept if one != (row, col)]
                self.kept = [*others, (row, col)][-4:]
        return np.zeros((rows.stop - rows.start, cols.stop - cols.start, 3), np.uint8)


def test_cells_of_a_large_image_are_made_tile_by_tile(encoder):
    """Each chunk of the file is read once, and the vectors keep the order of the table."""
    chunk, across = TILE, 6
    pixels = LazyStripes((2 * chunk, across * chunk), chunk)
    image = SmearImage(pixels, "key", "large")
    rows, cols = np.mgrid[100 : 2 * chunk : 512, 100 : across * chunk : 512]
    corners = np.stack([rows.ravel(), cols.ravel()], axis=1)
    table = pd.DataFrame(np.hstack([corners, corners + 20]), columns=BOX_COLUMNS)
    table.insert(0, "label", np.arange(len(table)) + 1)
    table["row"], table["col"] = corners[:, 0] + 10.0, corners[:, 1] + 10.0
    cells = Cells(np.zeros((1, 1), np.int32), table, 20.0)
    embeddings = embed(image, cells, SPEC, encoder)
    np.testing.assert_array_equal(embeddings.ids, cells.ids)
    assert pixels.reads == 2 * across


def test_a_small_image_is_made_in_the_order_of_the_table():
    centres = np.random.default_rng(0).uniform(0, 1000, (20, 2))
    np.testing.assert_array_equal(sort_by_tile(centres, np.arange(20)), np.arange(20))


def test_a_batch_too_large_is_told(image, cells, tight_encoder):
    steps = embed_steps(image, cells, SPEC, tight_encoder)
    messages = [report.message for report in steps]
    assert messages[0] == "Embedding cells"
    assert "holds only 2 crops at once" in messages[-1]
