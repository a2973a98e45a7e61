"""``--encoder``: which network looks at the cells, where no model says so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from napari_hemacells.core import encode
from napari_hemacells.core.store import load_bundle

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("colour_encoder")
OWN = "file:/nets/own.pth?arch=resnet18"


@pytest.fixture
def own_encoder(colour_encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that only its name finds."""

    class Own(type(colour_encoder)):
        info = replace(colour_encoder.info, name="file:own.pth (resnet18)", sha256="e" * 64)

        def encode(self, crops):
            return super().encode(crops)[:, ::-1].copy()

    known = encode.load_encoder
    monkeypatch.setattr(
        "napari_hemacells.core.encode.load_encoder",
        lambda name, device="auto": Own() if name == OWN else known(name, device),
    )


def test_a_name_that_cannot_be_is_wrong_usage(hemacells, crops_folder: Path, tmp_path: Path):
    out = tmp_path / "model"
    result = hemacells("fit", crops_folder, "--out", out, "--encoder", "bundel")
    assert result.exit_code == 2
    assert "did you mean bundled" in " ".join(result.stderr.replace("│", " ").split())
    assert not out.exists()


def test_weights_that_are_not_here_are_a_sentence(hemacells, crops_folder: Path, tmp_path: Path):
    out = tmp_path / "model"
    gone = f"adapted:{tmp_path / 'gone.safetensors'}"
    result = hemacells("fit", crops_folder, "--out", out, "--encoder", gone)
    assert result.exit_code == 3
    assert "does not exist" in result.stderr
    assert not out.exists()


@pytest.mark.usefixtures("own_encoder")
def test_a_model_of_ones_own_encoder_classifies_where_it_is_named(
    hemacells, crops_folder: Path, field: Path, tmp_path: Path
):
    model = tmp_path / "model"
    made = hemacells("fit", crops_folder, "--out", model, "--encoder", OWN)
    assert made.exit_code == 0, made.output
    assert "--encoder" in made.stderr  # said: the model does not find it by itself
    assert load_bundle(model).encoder.sha256 == "e" * 64
    given = ["classify", field, "--model", model, "--out", tmp_path / "out"]
    given += ["--cells", field.with_name("field.labels.tif")]
    refused = hemacells(*given)
    assert refused.exit_code == 4
    assert "choose that encoder" in " ".join(refused.stderr.split())
    assert hemacells(*given, "--encoder", "bundled").exit_code == 4
    assert hemacells(*given, "--encoder", OWN).exit_code == 0
