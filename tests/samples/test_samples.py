"""The synthetic smear is what its truth says; public samples say plainly what they need."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from napari_hemacells import samples
from napari_hemacells.core.detect.pipeline import detect_classical as detect
from napari_hemacells.core.errors import DownloadError
from napari_hemacells.core.image import image_from_array
from napari_hemacells.core.types import CELL_COLUMNS, PLATELET, RBC, WBC
from napari_hemacells.samples.public import PUBLIC, fetch
from napari_hemacells.samples.smear import synthetic_smear


@pytest.fixture(scope="module")
def smear():
    return synthetic_smear(seed=3, shape=(420, 560))


def test_the_same_seed_gives_the_same_smear(smear):
    again = synthetic_smear(seed=3, shape=(420, 560))
    np.testing.assert_array_equal(again.image, smear.image)
    np.testing.assert_array_equal(again.labels, smear.labels)
    assert not np.array_equal(synthetic_smear(seed=4, shape=(420, 560)).image, smear.image)


def test_every_kind_is_there_and_measured(smear):
    assert tuple(smear.table.columns) == (*CELL_COLUMNS, "subtype")
    assert set(smear.table["class"]) == {RBC, WBC, PLATELET}
    white = smear.table[smear.table["class"] == WBC]
    assert set(white["subtype"]) == {"Neutrophil", "Lymphocyte", "Monocyte", "Eosinophil"}
    assert (smear.table[smear.table["class"] != WBC]["subtype"] == "").all()


def test_every_pixel_of_a_cell_lies_in_its_box(smear):
    for row in smear.table.itertuples():
        rows, cols = np.nonzero(smear.labels == row.label)
        assert row.min_row <= rows.min(initial=row.min_row)
        assert rows.max(initial=0) < row.max_row
        assert row.min_col <= cols.min(initial=row.min_col)
        assert cols.max(initial=0) < row.max_col
        assert len(rows) <= row.area


def test_cells_are_darker_than_glass_and_nuclei_darker_than_red_cells(smear):
    brightness = smear.image.mean(axis=2)
    kinds = np.array(["", *smear.table["class"]])[smear.labels]
    glass, red, white = (brightness[kinds == kind].mean() for kind in ("", RBC, WBC))
    assert glass > red + 20 > white + 20


def test_red_cells_are_as_large_as_asked_for():
    large = synthetic_smear(seed=1, shape=(500, 500), diameter=80, white_cells=0, platelets=0)
    rows = large.table
    inside = (rows["min_row"] > 0) & (rows["min_col"] > 0)
    inside &= (rows["max_row"] < 500) & (rows["max_col"] < 500)
    widths = (rows["max_col"] - rows["min_col"])[inside]
    assert set(rows["class"]) == {RBC}
    assert widths.median() == pytest.approx(80, rel=0.12)


def test_numbers_may_be_chosen():
    empty = synthetic_smear(shape=(64, 64), red_cells=0, white_cells=0, platelets=0)
    assert len(empty.table) == 0
    assert not empty.labels.any()


def test_a_stronger_stain_darkens_the_cells_and_moves_none():
    pale, deep = (synthetic_smear(2, (200, 260), stain=stain) for stain in (0.7, 1.3))
    np.testing.assert_array_equal(pale.labels, deep.labels)
    cell = pale.labels > 0
    assert pale.image[cell].mean() > deep.image[cell].mean() + 15
    assert pale.image[~cell].mean() == pytest.approx(deep.image[~cell].mean(), abs=5)


def test_the_classical_detector_finds_the_synthetic_cells(smear):
    cells = detect(image_from_array(smear.image, "synthetic"))
    assert cells.diameter == pytest.approx(smear.diameter, rel=0.25)
    for kind, least in ((RBC, 0.9), (WBC, 1.0), (PLATELET, 0.5)):
        truth = smear.table[smear.table["class"] == kind]
        whole = truth[truth["area"] > 0.6 * truth["area"].median()]
        hits = sum(
            cells.labels[int(row), int(col)] > 0 and kind == kind_at(cells, int(row), int(col))
            for row, col in zip(whole["row"], whole["col"], strict=True)
        )
        assert hits >= least * len(whole), kind
    assert len(cells) <= 1.15 * len(smear.table)


def kind_at(cells, row, col):
    return cells.table["class"].iloc[cells.position[int(cells.labels[row, col])]]


def test_sample_layers_open_in_napari():
    ((data, options, kind),) = samples.smear_layers()
    assert kind == "image"
    assert data.shape == (900, 1200, 3)
    truth = options["metadata"]["napari-hemacells"]["truth"]
    assert truth["labels"].max() == len(truth["table"])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_hemacells.samples.public.cache_folder", lambda: tmp_path)
    return tmp_path


def test_no_network_is_said_plainly(cache, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr("pooch.core.stream_download", refuse)
    with pytest.raises(DownloadError, match="Connect to the network once") as raised:
        samples.bccd_field_1()
    assert str(cache) in str(raised.value)
    assert isinstance(raised.value.__cause__, ConnectionError)


def test_another_file_is_not_kept(cache, monkeypatch):
    def wrong(_url, output_file, _pooch):
        with open(output_file, "wb") as file:  # noqa: PTH123 - a path as pooch gives it
            file.write(b"something else")

    monkeypatch.setattr("pooch.core.choose_downloader", lambda *_a, **_k: wrong)
    with pytest.raises(DownloadError, match="not the expected file"):
        fetch("bccd-1")
    assert not list(cache.glob("bccd*"))


def test_a_cache_that_cannot_be_written_is_named(cache, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError("read-only")

    monkeypatch.setattr("pooch.core.stream_download", refuse)
    with pytest.raises(DownloadError, match="not writable") as raised:
        samples.chula_field_12()
    assert str(cache) in str(raised.value)


def test_a_fetched_field_carries_its_licence_and_source(tmp_path, monkeypatch):
    file = tmp_path / "field.png"
    Image.fromarray(np.full((4, 6, 3), 200, np.uint8)).save(file)
    monkeypatch.setattr("napari_hemacells.samples.public.fetch", lambda _name: file)
    for opened in (samples.bccd_field_1, samples.bccd_field_3, samples.chula_field_12):
        ((data, options, kind),) = opened()
        assert (data.shape, kind) == ((4, 6, 3), "image")
        ours = options["metadata"]["napari-hemacells"]
        assert ours["licence"] == "MIT"
        assert "github.com" in ours["source"]


@pytest.mark.realdata
@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_the_registered_hashes_are_those_of_the_real_files(name, shared_data):
    folder = {"bccd": "bccd/images", "chula": "chula_rbc12/images"}[name.split("-")[0]]
    file = shared_data / folder / PUBLIC[name].url.rsplit("/", 1)[1]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == PUBLIC[name].sha256
