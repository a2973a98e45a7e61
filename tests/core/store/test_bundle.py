from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_hemacells.core.errors import BundleError, BundleMismatchError, StorageError
from napari_hemacells.core.store.bundle import Bundle, check_compatible, load_bundle, save_bundle
from napari_hemacells.core.types import CropSpec, Groups


@pytest.fixture
def bundle(encoder, spec, palette):
    rng = np.random.default_rng(0)
    return Bundle(
        name="model",
        encoder=encoder,
        spec=spec,
        palette=palette.recolour("wbc", "#123456").set_key("rbc", 9),
        head_tensors={"weight": rng.normal(size=(3, 4)).astype(np.float32), "t": np.ones(())},
        head_meta={"kind": "linear", "temperature": 1.5},
        vectors=rng.normal(size=(5, 4)).astype(np.float32),
        labels=("rbc", "wbc", "wbc", "rbc", "rbc"),
        diameter=60.0,
        pixel_size_um=0.12,
        groups=(Groups(patient="p1", slide="s1"), Groups()),
    )


@pytest.fixture
def saved(tmp_path, bundle):
    return save_bundle(tmp_path / "models" / "model.hemacells", bundle)


def test_a_bundle_comes_back(saved, bundle):
    for path in (saved, saved / "bundle.json", str(saved)):
        back = load_bundle(path)
        for name in ("name", "encoder", "spec", "palette", "head_meta", "labels", "diameter",
                     "pixel_size_um", "groups", "created", "app_version"):  # fmt: skip
            assert getattr(back, name) == getattr(bundle, name), name
        np.testing.assert_array_equal(back.vectors, bundle.vectors)
        assert back.head_tensors.keys() == bundle.head_tensors.keys()
        np.testing.assert_array_equal(back.head_tensors["weight"], bundle.head_tensors["weight"])
        assert back.training_counts == {"rbc": 3, "wbc": 2, "platelets": 0}


def test_the_json_can_be_read_by_people(saved):
    content = json.loads((saved / "bundle.json").read_text())
    assert content["encoder"]["sha256"] == "ab" * 32
    assert content["crop"] == {"size": 32, "context": 1.5}
    assert [one["name"] for one in content["classes"]] == ["RBC", "WBC", "Platelets"]
    assert content["training_counts"] == {"rbc": 3, "wbc": 2, "platelets": 0}


def test_a_bundle_is_replaced_and_nothing_else_is(saved, bundle, tmp_path):
    save_bundle(saved, replace(bundle, name="second"))
    assert load_bundle(saved).name == "second"
    assert [file.name for file in saved.parent.iterdir()] == ["model.hemacells"]
    other = tmp_path / "letters"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    with pytest.raises(StorageError, match="no model bundle"):
        save_bundle(other, bundle)
    assert (other / "letter.txt").read_text() == "dear"


def test_a_failed_save_keeps_the_older_bundle(saved, bundle, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_hemacells.core.files.fsio._sync_file", full)
    with pytest.raises(StorageError, match="is full"):
        save_bundle(saved, replace(bundle, name="second"))
    assert load_bundle(saved).name == "model"
    assert [file.name for file in saved.parent.iterdir()] == ["model.hemacells"]


@pytest.mark.parametrize("keep", [0, 10, 200, -1])
@pytest.mark.parametrize("name", ["bundle.json", "model.safetensors"])
def test_a_truncated_file_is_refused(saved, name, keep):
    path = saved / name
    path.write_bytes(path.read_bytes()[:keep].rstrip(b"\n}"))
    with pytest.raises(BundleError, match=name):
        load_bundle(saved)


def test_a_changed_byte_is_noticed(saved):
    data = bytearray((saved / "model.safetensors").read_bytes())
    data[-3] ^= 1
    (saved / "model.safetensors").write_bytes(data)
    with pytest.raises(BundleError, match="hash"):
        load_bundle(saved)


def change(saved, **values):
    """A file of version 1, which had no hash of its own, says other things."""
    content = json.loads((saved / "bundle.json").read_text()) | {"version": 1} | values
    (saved / "bundle.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"version": 5}, "newer version"),
        ({"format": "other"}, "damaged"),
        ({"support_labels": ["rbc"]}, "do not fit"),
        ({"support_labels": ["x"] * 5}, "do not fit"),
        ({"cell_diameter_px": -1}, "damaged"),
        ({"classes": [{"id": "a", "name": "", "colour": "#000000"}]}, "damaged"),
        ({"classes": [{"id": i, "name": "A", "colour": "#000000"} for i in "ab"]}, "classes"),
        ({"tensors_file": "../../etc/passwd"}, "damaged"),
    ],
)
def test_content_that_does_not_fit_is_refused(saved, values, words):
    change(saved, **values)
    with pytest.raises(BundleError, match=words):
        load_bundle(saved)


def test_a_missing_part_is_named(saved, tmp_path):
    (saved / "model.safetensors").unlink()
    with pytest.raises(BundleError, match="not whole"):
        load_bundle(saved)
    with pytest.raises(BundleError, match="There is no model"):
        load_bundle(tmp_path / "nothing")


def test_a_huge_description_is_not_read(saved, monkeypatch):
    monkeypatch.setattr("napari_hemacells.core.store.bundle._JSON_LIMIT", 100)
    with pytest.raises(BundleError, match="larger than 100 bytes"):
        load_bundle(saved)


@pytest.mark.parametrize("name", ["bundle.json", "model.safetensors"])
def test_a_link_in_the_place_of_a_file_is_refused(saved, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    (saved / name).rename(elsewhere)
    (saved / name).symlink_to(elsewhere)
    with pytest.raises(BundleError, match=f"{name}” is a link"):
        load_bundle(saved)


def test_a_bundle_that_may_not_be_read_is_a_sentence(saved, monkeypatch):
    def refuse(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("napari_hemacells.core.files.safe_files.os.open", refuse)
        with pytest.raises(BundleError, match="may not be read: ask for the right"):
            load_bundle(saved)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "lstat", refuse)
        with pytest.raises(BundleError, match="may not be read: ask for the right"):
            load_bundle(saved)


def test_a_bundle_whose_saving_was_cut_off_is_the_older_one(saved, bundle):
    saved.rename(saved.with_name(".model.hemacells.0123abcd.old"))
    (saved.with_name(".model.hemacells.0123abcd.part")).mkdir()
    assert load_bundle(saved).name == "model"
    assert [file.name for file in saved.parent.iterdir()] == ["model.hemacells"]
    save_bundle(saved, replace(bundle, name="second"))
    assert load_bundle(saved).name == "second"


def test_the_same_encoder_crops_and_scale_pass(bundle, encoder, spec):
    check_compatible(bundle, encoder, spec, 60.0, 0.12)
    check_compatible(bundle, replace(encoder, name="renamed", seen="more"), spec, 150.0)
    check_compatible(bundle, encoder, spec)


@pytest.mark.parametrize(
    ("encoder_changes", "other_spec", "scale", "words"),
    [
        ({"sha256": "cd" * 32}, None, (60.0, None), "abababababab.*cdcdcdcdcdcd"),
        ({"dim": 5}, None, (60.0, None), "encoder"),
        ({"preprocessing": {"mean": 0.4}}, None, (60.0, None), "preprocessing"),
        ({}, CropSpec(64, 1.5), (60.0, None), "crops of 32 px"),
        ({}, CropSpec(32, 1.25), (60.0, None), "margin 1.5"),
        ({}, None, (190.0, None), "60 pixels.*190 pixels.*3.2"),
        ({}, None, (19.0, None), "19 pixels"),
        ({}, None, (60.0, 0.5), "µm"),
    ],
)
def test_a_mismatch_is_refused_with_the_reason(
    bundle, encoder, spec, encoder_changes, other_spec, scale, words
):
    with pytest.raises(BundleMismatchError, match=words):
        check_compatible(bundle, replace(encoder, **encoder_changes), other_spec or spec, *scale)


# --- tampered and damaged ones -------------------------------------------------------------------


@pytest.fixture
def fitted(encoder, spec, palette):
    """A model of three clear classes, each with another number of cells."""
    from napari_hemacells.core.classify import SupportSet, fit

    rng = np.random.default_rng(3)
    labels = ["rbc"] * 8 + ["wbc"] * 8 + ["platelets"] * 8
    means = np.repeat(np.eye(4)[:3] * 5, 8, axis=0)
    vectors = (means + rng.normal(size=(24, 4))).astype(np.float32)
    context = rng.normal(size=(60, 4)).astype(np.float32)
    head = fit(SupportSet(vectors, tuple(labels)), palette.ids, context=context)
    tensors, meta = head.to_tensors()
    return Bundle("m", encoder, spec, palette, tensors, meta, vectors, tuple(labels))


def test_every_changed_value_of_the_json_is_noticed(tmp_path, fitted):
    folder = save_bundle(tmp_path / "m", fitted)
    file = folder / "bundle.json"
    whole = json.loads(file.read_text())
    changed = {
        "name": "n", "created": "2020", "support_labels": whole["support_labels"][::-1],
        "head": {**whole["head"], "class_ids": whole["head"]["class_ids"][::-1]},
        "content_sha256": "", "cell_diameter_px": 7.5, "classes": whole["classes"][::-1],
    }  # fmt: skip
    for key, value in changed.items():
        file.write_text(json.dumps(whole | {key: value}))
        with pytest.raises(BundleError, match="hash"):
            load_bundle(folder)
    file.write_text(json.dumps(whole, indent=7))  # another layout says the same
    assert load_bundle(folder).name == "m"


def test_no_flipped_bit_of_the_json_gives_another_model(tmp_path, fitted):
    folder = save_bundle(tmp_path / "m", fitted)
    file = folder / "bundle.json"
    data = file.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(data), 150):
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(0, 8))
        file.write_bytes(damaged)
        try:
            back = load_bundle(folder)
        except BundleError:
            continue
        assert (back.name, back.labels, back.head_meta) == (
            fitted.name, fitted.labels, json.loads(data)["head"],
        )  # fmt: skip


@pytest.mark.parametrize("classes", ["reversed", "one twice", "one less"])
def test_a_head_of_other_classes_than_its_cells_is_refused(tmp_path, fitted, classes):
    folder = save_bundle(tmp_path / "m", fitted)
    ids = list(fitted.head_meta["class_ids"])
    other = {
        "reversed": ids[::-1], "one twice": [ids[0], ids[0], ids[2]], "one less": ids[:2],
    }[classes]  # fmt: skip
    change(folder, head=fitted.head_meta | {"class_ids": other})
    with pytest.raises(BundleError, match=r"copy the bundle again|Copy the bundle again|damaged"):
        _ = load_bundle(folder).head


@pytest.mark.parametrize(
    ("name", "value"),
    [("scale", 0.0), ("scale", -1.0), ("weights", np.nan), ("bias", np.inf), ("centre", np.nan),
     ("map.points", np.nan), ("novelty.values", np.nan), ("reference.std", np.inf)],
)  # fmt: skip
def test_numbers_that_cannot_be_are_refused(tmp_path, fitted, name, value):
    tensors = {**fitted.head_tensors, name: np.full_like(fitted.head_tensors[name], value)}
    folder = save_bundle(tmp_path / "m", replace(fitted, head_tensors=tensors))
    with pytest.raises(BundleError, match=r"Save the model anew"):
        _ = load_bundle(folder).head


@pytest.mark.parametrize("slope", [float("nan"), float("inf"), 0.0, -3.0, 1e9])
def test_a_slope_that_cannot_be_is_refused(tmp_path, fitted, slope):
    folder = save_bundle(tmp_path / "m", fitted)
    change(folder, head=fitted.head_meta | {"slope": slope})
    with pytest.raises(BundleError, match="damaged"):
        _ = load_bundle(folder).head


@pytest.mark.parametrize(
    "values",
    [
        {"crop": {"size": -1, "context": 1.5}},
        {"crop": {"size": 10**9, "context": 1.5}},
        {"crop": {"size": 32, "context": float("nan")}},
        {"crop": {"size": 32, "context": 1e9}},
        {"cell_diameter_px": float("inf")},
        {"encoder": {"name": "e", "sha256": "ab" * 32, "dim": 4,
                     "preprocessing": {"size": 60000}}},
        {"encoder": {"name": "e", "sha256": "ab" * 32, "dim": 4,
                     "preprocessing": {"network": {"size": 60000}}}},
        {"encoder": {"name": "e", "sha256": "ab" * 32, "dim": 4, "preprocessing": {"size": "x"}}},
    ],
)  # fmt: skip
def test_sizes_that_cannot_be_are_refused(saved, values):
    change(saved, **values)
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(saved)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"format":' * 50_000, "[]", "1", '""', "null"])
def test_json_of_another_shape_is_refused(saved, text):
    (saved / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(saved)
