"""Doubts of a session: an annotation unlike the others is named, kept and confirmed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from made_up import INFO, SPEC
from napari_hemacells.core.types import CELL_COLUMNS, Cells, Embeddings
from napari_hemacells.session import run_classification

RED, WHITE = 200, 8
ACROSS = 16


@pytest.fixture
def slide(new_session, image):
    """A session on a slide of two kinds, as the detector found them."""
    rng = np.random.default_rng(0)
    count = RED + WHITE
    kinds = ["RBC"] * RED + ["WBC"] * WHITE
    rows = [
        (i + 1, kinds[i], 0.9, 4.0 * (i // ACROSS) + 1, 4.0 * (i % ACROSS) + 1,
         4 * (i // ACROSS), 4 * (i % ACROSS), 4 * (i // ACROSS) + 3, 4 * (i % ACROSS) + 3, 9)
        for i in range(count)
    ]  # fmt: skip
    labels = np.zeros((64, 64), np.int32)
    for label, *_, top, left, bottom, right, _area in rows:
        labels[top:bottom, left:right] = label
    cells = Cells(labels, pd.DataFrame(rows, columns=list(CELL_COLUMNS)), diameter=3.0)
    vectors = rng.normal(size=(count, INFO.dim))
    vectors[RED:, :4] += 3.0
    session = new_session()
    session.show_image(image)
    session.set_cells(cells)
    assert session.set_embeddings(
        Embeddings(cells.ids, vectors.astype(np.float32), INFO, SPEC, image.key, kinds=cells.kinds)
    )
    return session


def classify(session) -> None:
    request = session.request()
    assert request is not None
    assert session.accept(run_classification(request))


def click(session, clicks: dict[int, str]) -> None:
    for cell, class_id in clicks.items():
        session.annotate([cell], class_id)
    classify(session)


def test_a_slip_is_named_kept_and_confirmed(slide) -> None:
    click(slide, {4: "rbc", RED + 1: "wbc", 41: "rbc", 100: "wbc", 78: "rbc", RED + 3: "wbc"})
    assert slide.doubts.unlike == (100,)
    assert "cell 100 (WBC)" in slide.doubts.unlike_sentence
    assert slide.annotated[100] == "wbc"
    slide.confirm([100])
    classify(slide)
    assert slide.doubts.unlike == ()


def test_the_same_class_once_more_confirms_and_another_starts_anew(slide) -> None:
    click(slide, {4: "rbc", RED + 1: "wbc", 41: "rbc", 100: "wbc", 78: "rbc", RED + 3: "wbc"})
    click(slide, {100: "wbc"})
    assert slide.doubts.unlike == ()
    click(slide, {100: "rbc"})
    click(slide, {100: "wbc"})
    assert slide.doubts.unlike == (100,)


def test_agreement_raises_no_doubt_and_cells_stay_as_detected(slide) -> None:
    click(slide, {4: "rbc", RED + 1: "wbc", 41: "rbc", RED + 2: "wbc"})
    assert slide.doubts.unlike == ()
    assert slide.doubts.contradictions == ()
    assert slide.counts()["wbc"] == (2, WHITE - 2)


def test_a_contradiction_is_told_with_its_number(slide) -> None:
    from dataclasses import replace

    click(slide, {4: "rbc", RED + 1: "wbc"})
    latest = slide.live.latest
    flipped = np.tile(np.array([[0.1, 0.9]], np.float32), (RED + WHITE, 1))
    slide.live.latest = replace(
        latest, prediction=replace(latest.prediction, probabilities=flipped)
    )
    (found,) = slide.doubts.contradictions
    assert (found.kind, found.class_id, len(found.cells)) == ("RBC", "wbc", RED - 1)
    assert "199 cells that the detector took for red cells" in (
        slide.doubts.contradiction_sentence
    )
