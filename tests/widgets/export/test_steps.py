"""Files of an export, written beside each other."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from napari_hemacells.core.store.overlay import class_overlay
from napari_hemacells.core.types.progress import run_to_end
from napari_hemacells.widgets.export.panel import ExportRequest
from napari_hemacells.widgets.export.steps import export_steps, interleaved, take_snapshot

WHAT = ("labels", "overlay", "csv", "report", "joint", "bundle")


@pytest.fixture
def snapshot(session, classify):
    for cell, class_id in zip((3, 4, 5), session.palette.ids, strict=False):
        session.annotate([cell], class_id)
    classify()
    return take_snapshot(session)


def test_the_files_come_in_the_order_asked_for_and_are_all_there(snapshot, tmp_path):
    result = run_to_end(export_steps(ExportRequest(WHAT, tmp_path / "out"), snapshot))
    endings = [".labels.tif", ".overlay.png", ".cells.csv", ".report.html"]
    assert all(path.name.endswith(end) for path, end in zip(result.written, endings, strict=False))
    assert [path.name for path in result.written[4:6]] == ["cells.csv", "cells.xlsx"]
    assert all(path.exists() for path in result.written)
    assert len(result.written) == len(WHAT) + 1


def test_the_overlay_is_the_one_that_is_drawn_alone(snapshot, tmp_path):
    result = run_to_end(export_steps(ExportRequest(("overlay",), tmp_path), snapshot))
    alone = class_overlay(
        snapshot.image, snapshot.cells, snapshot.displayed, snapshot.palette, legend=True
    )
    np.testing.assert_array_equal(np.asarray(Image.open(result.written[0])), alone)


def test_progress_counts_every_file(snapshot, tmp_path):
    reports = list(export_steps(ExportRequest(WHAT, tmp_path), snapshot))
    assert {report.total for report in reports} == {len(WHAT)}
    assert reports[0].done == 0
    assert reports[-1].done == len(WHAT)


def test_a_cancelled_export_ends(snapshot, tmp_path):
    with closing(export_steps(ExportRequest(WHAT, tmp_path), snapshot)) as steps:
        next(steps)


def test_tables_and_pictures_take_turns():
    assert interleaved(["joint", "csv"], ["overlay", "report", "labels"]) == [
        "joint", "overlay", "csv", "report", "labels",
    ]  # fmt: skip
