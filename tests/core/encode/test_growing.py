"""Embeddings that grow while others look at them."""

from __future__ import annotations

import numpy as np

from napari_hemacells.core.crop import extract_crops
from napari_hemacells.core.encode import embed_steps
from napari_hemacells.core.encode.growing import FIRST_LOOK, GrowingEmbeddings
from napari_hemacells.core.types import CropSpec, Embeddings, EncoderInfo

SPEC = CropSpec(16)


def made(count: int, known: int) -> GrowingEmbeddings:
    growing = GrowingEmbeddings()
    ids = np.arange(10, 10 + count)
    vectors = np.zeros((count, 3), np.float32)
    info = EncoderInfo("made up", "0" * 64, 3)
    there = np.zeros(count, np.bool_)
    growing.begin(Embeddings(ids, vectors, info, SPEC, "key"), there)
    growing.add(np.arange(known), np.ones((known, 3), np.float32))
    return growing


def test_wanted_cells_come_first_then_the_others_in_order():
    growing = made(10, 0)
    growing.want([17, 15, 99])
    batches = list(growing.batches(np.arange(10), 4))
    assert [batch.tolist() for batch in batches] == [[5, 7], [0, 1, 2, 3], [4, 6, 8, 9]]


def test_what_is_wanted_may_change_between_batches():
    growing = made(10, 0)
    batches = growing.batches(np.arange(10), 3)
    assert next(batches).tolist() == [0, 1, 2]
    growing.want([19])
    assert next(batches).tolist() == [9]
    assert next(batches).tolist() == [3, 4, 5]


def test_a_look_stays_the_same_until_much_more_is_there():
    growing = made(1000, FIRST_LOOK)
    look = growing.look()
    assert look is not None
    assert len(look) == FIRST_LOOK
    growing.add(np.arange(FIRST_LOOK, FIRST_LOOK + 3), np.ones((3, 3), np.float32))
    assert growing.look() is look
    assert not growing.has_news
    growing.add(np.arange(500), np.ones((500, 3), np.float32))
    assert growing.has_news
    assert len(growing.look()) == 500
    assert len(look) == FIRST_LOOK


def test_only_cells_that_have_a_vector_are_given():
    growing = made(100, 5)
    assert growing.look() is None
    assert growing.of([14, 50, 12, 7]).ids.tolist() == [12, 14]


def test_the_wanted_cell_is_embedded_first_and_the_result_is_the_same(image, cells, encoder):
    growing, last = GrowingEmbeddings(), int(cells.ids[-1])
    growing.want([last])
    steps = embed_steps(image, cells, SPEC, encoder, batch_size=2, growing=growing)
    next(steps)
    next(steps)
    assert growing.of([last]).ids.tolist() == [last]
    assert growing.done == 1
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result = end.value
            break
    expected = encoder.encode(extract_crops(image, cells, SPEC))
    np.testing.assert_array_equal(result.vectors, expected)
