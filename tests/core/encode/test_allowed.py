"""A received model or project fetches and reads nothing that the user did not choose."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from napari_hemacells.core import encode
from napari_hemacells.core.encode import allowed, registry, timm_files, weights_store
from napari_hemacells.core.errors import EncoderNotAllowedError
from napari_hemacells.core.types import EncoderInfo

if TYPE_CHECKING:
    from pathlib import Path

OUTSIDE = (
    "timm:hf_hub:someone/model", "timm:hf-hub:someone/model?size=96", "timm:local-dir:/tmp/x",
    "timm:resnet18", "reddino-small", "file:/tmp/weights.pth?arch=resnet18",
    "adapted:/tmp/x.safetensors", "dinobloom-s:/tmp/x.pth",
)  # fmt: skip
INSIDE = ("bundled", "bundled-2-turns", "imagenet", "untrained:test_resnet", "dinobloom-s")


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(weights_store, "weights_folder", lambda: tmp_path / "encoders")
    monkeypatch.setattr(weights_store, "find_cached_file", lambda *_: None)
    monkeypatch.setattr(allowed, "_CHOSEN", set())
    return tmp_path / "encoders"


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_would_be_fetched_or_read_must_have_been_chosen_once(name: str, shelf: Path) -> None:
    with pytest.raises(EncoderNotAllowedError, match="choose that encoder yourself") as refused:
        encode.check_allowed(name)
    assert name in str(refused.value)
    encode.allow(name)
    encode.check_allowed(name)
    assert (shelf / "allowed.txt").read_text() == f"{name}\n"
    allowed._CHOSEN.clear()  # as in the next process
    encode.check_allowed(name)
    with pytest.raises(EncoderNotAllowedError):
        encode.check_allowed("timm:hf_hub:someone-else/model")


@pytest.mark.parametrize("name", INSIDE)
def test_encoders_of_the_package_need_no_question(name: str, shelf: Path) -> None:
    encode.check_allowed(name)
    encode.allow(name)
    assert not shelf.exists()


def test_a_file_of_the_shelf_needs_no_question(shelf: Path) -> None:
    encode.check_allowed(f"adapted:{shelf / 'x.safetensors'}")
    with pytest.raises(EncoderNotAllowedError):
        encode.check_allowed(f"adapted:{shelf / '..' / 'x.safetensors'}")


def test_a_choice_that_cannot_be_written_holds_until_the_end(shelf: Path) -> None:
    shelf.parent.joinpath("encoders").write_text("a file where the folder should be")
    encode.allow(OUTSIDE[0])
    encode.check_allowed(OUTSIDE[0])


@pytest.mark.parametrize("name", ["timm:hf_hub:someone/model", "reddino-base"])
def test_the_encoder_of_a_received_model_is_not_fetched(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetched(*_: object) -> None:
        raise AssertionError("something was fetched")

    monkeypatch.setattr(registry, "load_encoder", fetched)
    with pytest.raises(EncoderNotAllowedError):
        registry.encoder_like(EncoderInfo(name, "0" * 64, 16))


@pytest.mark.parametrize("hub_file", ["model.safetensors", "open_clip_model.safetensors"])
def test_the_file_that_would_be_fetched_is_the_one_looked_for(monkeypatch, hub_file) -> None:
    """One name of a weights file, for the question and for the encoder that is made."""
    published = SimpleNamespace(
        architecture="resnet18", tag="a1", hf_hub_id="owner/resnet18.a1", hf_hub_filename=hub_file,
        url="",
    )  # fmt: skip
    monkeypatch.setattr("timm.get_pretrained_cfg", lambda *_, **__: published)
    cached = {("owner/resnet18.a1", hub_file): "/cache/file"}
    monkeypatch.setattr(weights_store, "find_cached_file", lambda *asked: cached.get(asked))
    assert timm_files.find_file(published) == "/cache/file"
    assert timm_files.files_of(published).names == (hub_file,)
    encode.check_allowed("timm:resnet18.a1")
    cached.clear()
    with pytest.raises(EncoderNotAllowedError):
        encode.check_allowed("timm:resnet18.a1")
