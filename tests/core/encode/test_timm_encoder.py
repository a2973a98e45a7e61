"""timm models, local checkpoints, DinoBloom and RedDino: random weights in the right layout."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from napari_hemacells.core.encode import (
    encoder_like,
    foundation,
    load_encoder,
    registry,
    weights_store,
)
from napari_hemacells.core.encode.checkpoint import CheckpointSpec, checkpoint_encoder
from napari_hemacells.core.encode.foundation import DinoBloomModel, dinobloom_spec
from napari_hemacells.core.encode.weights_store import weights_folder
from napari_hemacells.core.errors import EncoderError

CROPS = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)


def unreachable(*address, **options):
    raise OSError("Name or service not known")


@pytest.fixture(autouse=True)
def shelf(tmp_path, monkeypatch):
    """An empty shelf, no network, and every multiplication in full precision."""
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name: str(tmp_path / "data"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(weights_store, "getproxies", dict)
    monkeypatch.setattr(weights_store.socket, "create_connection", unreachable)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(
        "napari_hemacells.core.encode.device.precision_on", lambda device: "float32"
    )
    registry._load_cached.cache_clear()
    weights_folder().mkdir(parents=True)
    return weights_folder()


@pytest.fixture(scope="module")
def vit():
    """A vision transformer of timm's own tests: tiny."""
    torch.manual_seed(1)
    return timm.create_model("test_vit", num_classes=0).eval()


def expected(model, size, mean, std):
    """The vectors by hand."""
    images = torch.from_numpy(CROPS).permute(0, 3, 1, 2).float() / 255
    images = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    resized = torch.nn.functional.interpolate(
        images, size=(size, size), mode="bicubic", antialias=True
    )
    with torch.inference_mode():
        return model(resized).numpy()


def test_a_model_from_nothing_is_the_same_each_time():
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    first = load_encoder("untrained:test_vit", "cpu")
    assert torch.rand(1) == before  # the caller's own random numbers are not touched
    from napari_hemacells.core.encode.timm_encoder import untrained_encoder

    second = untrained_encoder("test_vit", None, "cpu")
    assert first.info == second.info
    np.testing.assert_array_equal(first.encode(CROPS), second.encode(CROPS))
    assert "random" in first.info.seen
    assert encoder_like(first.info, "cpu").info == first.info


def test_a_checkpoint_gives_the_vectors_of_its_network(vit, tmp_path):
    file = tmp_path / "own weights.safetensors"
    save_file(vit.state_dict(), file)
    found = load_encoder(f"file:{file}?arch=test_vit&mean=0.5,0.5,0.5&std=0.25,0.25,0.25", "cpu")
    np.testing.assert_allclose(
        found.encode(CROPS), expected(vit, 160, [0.5] * 3, [0.25] * 3), atol=1e-4
    )
    assert found.info.preprocessing["size"] == 160
    assert "own weights" in found.info.name


def test_a_checkpoint_that_changes_is_read_again(vit, tmp_path):
    file = tmp_path / "weights.safetensors"
    save_file(vit.state_dict(), file)
    first = load_encoder(f"file:{file}?arch=test_vit", "cpu")
    assert load_encoder(f"file:{file}?arch=test_vit", "cpu") is first
    other = {name: value + 1 for name, value in vit.state_dict().items()}
    save_file({**other, "more": torch.zeros(3)}, file)
    assert load_encoder(f"file:{file}?arch=test_vit", "cpu").info.sha256 != first.info.sha256


def test_usual_wrappings_are_taken_off(vit, tmp_path):
    file = tmp_path / "trained.pth"
    state = {f"module.{name}": value for name, value in vit.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": {**state, "module.head.weight": torch.ones(2, 2)}}, file)
    found = checkpoint_encoder(CheckpointSpec(path=file, arch="test_vit"), "cpu")
    plain = checkpoint_encoder(CheckpointSpec(path=_plain(vit, tmp_path), arch="test_vit"), "cpu")
    assert found.info.sha256 == plain.info.sha256  # the weights count, not the file


def _plain(model, folder):
    save_file(model.state_dict(), folder / "plain.safetensors")
    return folder / "plain.safetensors"


def test_what_does_not_fit_is_refused_with_the_reason(vit, tmp_path):
    file = tmp_path / "partial.safetensors"
    save_file({"norm.weight": vit.state_dict()["norm.weight"].clone()}, file)
    with pytest.raises(EncoderError, match=r"missing or of another shape"):
        load_encoder(f"file:{file}?arch=test_vit", "cpu")
    with pytest.raises(EncoderError, match="arch is timm's name"):
        load_encoder(f"file:{file}", "cpu")
    with pytest.raises(EncoderError, match="Did you mean"):
        load_encoder(f"file:{file}?arch=resnet81", "cpu")
    with pytest.raises(EncoderError, match="does not exist"):
        load_encoder(f"file:{tmp_path / 'none.pth'}?arch=test_vit", "cpu")


class Sly:
    """What a pickle may hold besides weights."""


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    torch.save({"model": Sly()}, tmp_path / "sly.pth")
    with pytest.raises(EncoderError, match="more than weights"):
        load_encoder(f"file:{tmp_path / 'sly.pth'}?arch=test_vit", "cpu")


# --- DinoBloom -------------------------------------------------------------------------------


@pytest.fixture
def small_bloom(monkeypatch):
    """DinoBloom's layout around a tiny network, whose pictures have the same side."""
    monkeypatch.setitem(
        foundation.DINOBLOOM, "dinobloom-s", DinoBloomModel("DinoBloom-S", "test_vit")
    )
    torch.manual_seed(2)
    return timm.create_model("test_vit", num_classes=0, img_size=224).eval()


def bloom_file(model, file):
    teacher = {f"backbone.{name}": value for name, value in model.state_dict().items()}
    heads = {f"{head}.mlp.0.weight": torch.ones(4, 4) for head in ("dino_head", "ibot_head")}
    torch.save({"teacher": {**teacher, **heads}, "student": {}, "iteration": 7}, file)


def test_dinobloom_is_its_teacher_without_heads(small_bloom, shelf):
    bloom_file(small_bloom, shelf / "DinoBloom-S.pth")
    found = load_encoder("dinobloom-s", "cpu")
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    np.testing.assert_allclose(
        found.encode(CROPS), expected(small_bloom, 224, mean, std), atol=1e-4
    )
    assert found.info.preprocessing["size"] == 224
    assert "PBC" in found.info.seen
    assert encoder_like(found.info, "cpu").info == found.info


def test_dinobloom_elsewhere(small_bloom, tmp_path):
    bloom_file(small_bloom, tmp_path / "mine.pth")
    assert load_encoder(f"dinobloom-s:{tmp_path / 'mine.pth'}", "cpu").info.name == "dinobloom-s"


def test_dinobloom_absent_says_what_to_fetch_and_where_to_put_it(shelf):
    with pytest.raises(EncoderError) as told:
        load_encoder("dinobloom-b", "cpu")
    assert "zenodo.org" in str(told.value)
    assert str(shelf / "DinoBloom-B.pth") in str(told.value)


def test_another_checkpoint_is_no_dinobloom(tmp_path):
    torch.save({"student": {"a": torch.ones(2)}}, tmp_path / "other.pth")
    with pytest.raises(EncoderError, match="holds no “teacher”"):
        load_encoder(f"dinobloom-s:{tmp_path / 'other.pth'}", "cpu")


@pytest.mark.slow
def test_the_real_size_has_257_positions(tmp_path):
    model = timm.create_model("vit_small_patch14_dinov2", num_classes=0, img_size=224)
    state = model.state_dict()
    assert state["pos_embed"].shape == (1, 257, 384)
    bloom_file(model, tmp_path / "s.pth")
    stored = torch.load(tmp_path / "s.pth", weights_only=True)
    stored["teacher"]["backbone.mask_token"] = torch.zeros(1, 384)  # as in the published file
    torch.save(stored, tmp_path / "s.pth")
    found = checkpoint_encoder(dinobloom_spec("dinobloom-s", str(tmp_path / "s.pth")), "cpu")
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    np.testing.assert_allclose(
        found.encode(CROPS), expected(model.eval(), 224, mean, std), atol=1e-3
    )


# --- the hub ---------------------------------------------------------------------------------


def test_behind_a_proxy_the_hub_is_asked_through_it(monkeypatch):
    with pytest.raises(OSError, match="not known"):
        weights_store.check_reachable("https://huggingface.co/timm")
    monkeypatch.setattr(weights_store, "getproxies", lambda: {"https": "http://proxy:3128"})
    weights_store.check_reachable("https://huggingface.co/timm")


def test_offline_a_model_of_timm_says_what_to_fetch_and_where_to_put_it(shelf):
    with pytest.raises(EncoderError) as told:
        load_encoder("timm:resnet18", "cpu")
    said = str(told.value)
    assert "https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors" in said
    assert str(shelf / "resnet18.a1_in1k.safetensors") in said
    assert len(re.findall(r"\.\s", said)) <= 2


def test_a_file_on_the_shelf_is_taken(shelf, vit):
    with pytest.raises(EncoderError) as told:
        load_encoder("test_vit", "cpu")
    (name,) = re.findall(r"test_vit\.[a-z0-9_]+\.safetensors", str(told.value))
    whole = timm.create_model("test_vit")
    save_file({**whole.state_dict(), **vit.state_dict()}, shelf / name)
    found = load_encoder("test_vit", "cpu")
    config = timm.data.resolve_model_data_config(vit)
    np.testing.assert_allclose(
        found.encode(CROPS), expected(vit, 160, config["mean"], config["std"]), atol=1e-4
    )
    assert encoder_like(found.info, "cpu").info == found.info


def test_a_damaged_file_on_the_shelf_is_named(shelf):
    (shelf / "resnet18.a1_in1k.safetensors").write_bytes(b"rubbish")
    with pytest.raises(EncoderError, match=r"damaged.*remove .*resnet18"):
        load_encoder("timm:resnet18", "cpu")


def test_reddino_from_the_shelf_with_its_own_preprocessing(shelf, vit):
    folder = shelf / "RedDino-small"
    folder.mkdir()
    own = {"input_size": [3, 160, 160], "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6],
           "interpolation": "bicubic", "num_classes": 0, "fixed_input_size": True}  # fmt: skip
    content = {"architecture": "test_vit", "num_classes": 0, "pretrained_cfg": own}
    (folder / "config.json").write_text(json.dumps(content))
    save_file(vit.state_dict(), folder / "model.safetensors")
    found = load_encoder("reddino-small", "cpu")
    np.testing.assert_allclose(
        found.encode(CROPS), expected(vit, 160, own["mean"], own["std"]), atol=1e-4
    )
    assert "RedDino-small" in found.info.seen


def test_reddino_absent_says_what_to_fetch(shelf):
    with pytest.raises(EncoderError, match=r"Snarcy/RedDino-small/resolve/main/config\.json"):
        load_encoder("reddino-small", "cpu")


def test_another_size_of_picture(vit, tmp_path):
    found = load_encoder("untrained:test_vit?size=64", "cpu")
    assert found.info.preprocessing["size"] == 64
    with pytest.raises(EncoderError, match="cannot work on pictures of 65 pixels"):
        load_encoder("untrained:test_vit?size=65", "cpu").encode(CROPS)


@pytest.mark.parametrize(
    "identity", ["", "x", "a b/c", "../../etc/passwd", "a/b/c", "a/", "/b", "a/..", "é/ü", "a\n/b"]
)
def test_a_strange_name_of_a_hub_is_refused_before_anything_is_asked(identity: str) -> None:
    with pytest.raises(EncoderError, match="names no model of a hub"):
        load_encoder(f"timm:hf_hub:{identity}", "cpu")


@pytest.mark.parametrize("size", ["²", "1e9", "-1", "0", "3000", "٣"])
def test_a_strange_size_is_refused(size: str) -> None:
    with pytest.raises(EncoderError, match="size in pixels"):
        load_encoder(f"timm:resnet18?size={size}", "cpu")


@pytest.mark.parametrize("kind", ["file:{}?arch=resnet18", "adapted:{}", "dinobloom-s:{}"])
@pytest.mark.parametrize(
    "content", [None, b"", b"root:x:0:0\n", b"\x80\x04.", b"PK\x03\x04", b"\0" * 99]
)
@pytest.mark.parametrize("ending", [".pth", ".safetensors", "x" * 300])
def test_a_file_that_holds_no_weights_is_named(tmp_path, kind, content, ending) -> None:
    file = tmp_path / f"a{ending}"
    if content is not None and len(ending) < 200:
        file.write_bytes(content)
    with pytest.raises(EncoderError, match=r"weights|adapted encoder"):
        load_encoder(kind.format(file), "cpu")
