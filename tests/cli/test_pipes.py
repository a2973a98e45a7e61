"""Pipes in folders that somebody sent: no command waits for a writer who never comes."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr
from PIL import Image

from napari_hemacells.core.annotate import open_history
from napari_hemacells.core.detect.learned.metadata import read_training_data
from napari_hemacells.core.errors import EncoderError, HemaCellsError, ImageError, StorageError
from napari_hemacells.core.evaluate.detection_datasets import parse_coco, parse_voc, read_fields
from napari_hemacells.core.files.text_tables import read_table
from napari_hemacells.core.image import read_image
from napari_hemacells.core.image.labels import read_labels
from napari_hemacells.core.store import Project
from napari_hemacells.core.store.project import annotation_state
from napari_hemacells.core.train.classifier.dataset import SPEC, read_spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX")


@pytest.fixture(autouse=True)
def never_waits() -> Iterator[None]:
    """End a test that waits for a writer of a pipe."""

    def stop(*_: object) -> None:
        raise TimeoutError("a pipe was waited for")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def save_picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((40, 60, 3), 230, np.uint8)).save(path)
    return path


@pytest.mark.parametrize("name", ["annotations.json", "field.xml", "field.txt"])
def test_a_pipe_among_annotations_is_none(tmp_path, name):
    image = save_picture(tmp_path / "images" / "field.png")
    (tmp_path / "annotations").mkdir()
    os.mkfifo(tmp_path / "annotations" / name)
    with pytest.raises(HemaCellsError, match="holds no annotations"):
        read_fields([image], tmp_path / "annotations")
    with pytest.raises(HemaCellsError, match="pipe"):
        read_fields([image], tmp_path / "annotations" / name)


def test_a_pipe_beside_the_annotations_does_not_hide_them(tmp_path):
    image = save_picture(tmp_path / "images" / "field.png")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "field.txt").write_text("10 20 RBC\n")
    for name in ("a.txt", "classes.txt", "data.yaml", "b.json"):
        os.mkfifo(tmp_path / "annotations" / name)
    fields, without = read_fields([image], tmp_path / "annotations")
    assert [field.refused for field in fields] == [""]
    assert not without


@pytest.mark.parametrize("read", [parse_voc, parse_coco, read_table, read_labels, read_image,
                                  read_training_data])  # fmt: skip
def test_no_reader_opens_a_pipe(tmp_path, read):
    os.mkfifo(tmp_path / "given")
    with pytest.raises((StorageError, EncoderError, HemaCellsError), match=r"pipe|no such file"):
        read(tmp_path / "given")


def test_a_pipe_beside_crops_says_nothing_of_how_they_were_cut(tmp_path):
    os.mkfifo(tmp_path / SPEC)
    assert read_spec(tmp_path) is None


@pytest.mark.parametrize("version", [2, 3])
def test_a_pipe_in_place_of_a_chunk_fails_the_image(tmp_path, version):
    folder = tmp_path / "slide.zarr"
    array = zarr.create_array(
        folder, shape=(64, 64, 3), chunks=(32, 32, 3), dtype="u1", zarr_format=version
    )
    array[:] = 200
    assert read_image(folder).shape == (64, 64)
    chunk = folder / ("0.0.0" if version == 2 else "c/0/0/0")
    chunk.unlink()
    os.mkfifo(chunk)
    with pytest.raises(ImageError, match="pipe"):
        read_image(folder)


def test_detect_passes_over_pipes_in_a_folder(hemacells, tmp_path):
    save_picture(tmp_path / "in" / "field.png")
    for name in ("pipe.png", "pipe.txt", "pipe.csv", "pipe.tif", "pipe.jpg"):
        os.mkfifo(tmp_path / "in" / name)
    (tmp_path / "out" / ".hemacells").mkdir(parents=True)
    os.mkfifo(tmp_path / "out" / ".hemacells" / "field.json")  # where a run notes what is done
    result = hemacells(
        "detect", tmp_path / "in", "--out", tmp_path / "out", "--method", "classical",
        "--skip-done", "--json", tmp_path / "r.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert len(json.loads((tmp_path / "r.json").read_text())["images"]) == 1


def test_cells_from_a_pipe_fail_that_image_only(hemacells, tmp_path):
    save_picture(tmp_path / "field.png")
    os.mkfifo(tmp_path / "cells.csv")
    result = hemacells(
        "detect", tmp_path / "field.png", "--cells", tmp_path / "cells.csv", "--out", tmp_path
    )
    assert result.exit_code == 5
    assert "pipe" in result.output


def test_fit_passes_over_pipes_in_class_folders(hemacells, colour_encoder, tmp_path):
    for name in ("RBC", "WBC"):
        for number in range(3):
            save_picture(tmp_path / "crops" / name / f"{number}.png")
        os.mkfifo(tmp_path / "crops" / name / "pipe.png")
    result = hemacells("fit", tmp_path / "crops", "--out", tmp_path / "model")
    assert result.exit_code == 0, result.output
    assert "6 crops" in result.output


def test_what_a_project_has_to_say_is_a_notice_for_the_command_line(tmp_path, hemacells):
    project = Project.create(tmp_path / "project")
    open_history(project.journal_path, "me").close()
    with project.journal_path.open("ab") as journal:
        journal.write(b'{"crc":"0000')
    annotation_state(project)
    assert "torn" in project.notices[0]
    (project.folder / "project.json").unlink()
    result = hemacells("train", "detector", project.folder, "--out", tmp_path / "w.safetensors")
    assert result.exit_code != 0
    assert "was missing" in result.output
    assert "torn" in result.output
    result = hemacells("adapt", project.folder, "--out", tmp_path / "w.safetensors")
    assert "torn" in result.output
