"""Encoders by name, and the one that made a stored model."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from napari_hemacells.core.encode import (
    encoder_like,
    encoder_name_of,
    load_encoder,
    weights_store,
)
from napari_hemacells.core.encode.builtin import bundled_info, imagenet_info
from napari_hemacells.core.encode.siamese_header import SiameseHeader
from napari_hemacells.core.errors import EncoderError


def test_an_encoder_is_known_by_its_weights():
    assert encoder_name_of(bundled_info()) == "bundled"
    assert encoder_name_of(replace(imagenet_info(), name="its old name")) == "imagenet"
    assert encoder_name_of(replace(imagenet_info(), sha256="0" * 64)) is None


def test_other_preprocessing_is_another_encoder():
    assert encoder_name_of(replace(imagenet_info(), preprocessing={"mean": [0.0] * 3})) is None


def test_unknown_names_are_refused_with_those_that_are_known():
    with pytest.raises(
        EncoderError, match=r"resnet99.*bundled, bundled-2-turns, blood-2, imagenet"
    ):
        load_encoder("resnet99")


@pytest.mark.slow
def test_a_model_of_the_imagenet_encoder_gets_that_encoder():
    assert encoder_like(imagenet_info(), "cpu").info == imagenet_info()


@pytest.mark.slow
def test_a_model_of_an_unknown_encoder_gets_the_bundled_one():
    assert encoder_like(replace(imagenet_info(), sha256="0" * 64), "cpu").info == bundled_info()


def test_identities_need_no_torch():
    code = (
        "import sys\nfrom napari_hemacells.core.encode import encoder_name_of\n"
        "from napari_hemacells.core.encode.builtin import bundled_info\n"
        "print(encoder_name_of(bundled_info()), 'torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["bundled", "False"]


def test_a_siamese_network_in_the_weights_store_is_found_by_its_hash(monkeypatch, tmp_path):
    """So that a model that was fitted on its vectors can be used again."""
    file = tmp_path / "siamese.safetensors"
    about = SiameseHeader(
        "blood-2", bundled_info("blood-2").sha256, ("a", "b"), 9, "", "2026-11-29", {}
    )
    save_file({"w": np.zeros(1, np.float32)}, file, metadata=about.to_metadata())
    monkeypatch.setattr(weights_store, "find_weights_by_hash", lambda _: file)
    unknown = replace(imagenet_info(), sha256="0" * 64)
    assert encoder_name_of(unknown) == f"siamese:{file}"
    outdated = replace(about, base_sha256="0" * 64)
    save_file({"w": np.zeros(1, np.float32)}, file, metadata=outdated.to_metadata())
    assert encoder_name_of(unknown) is None
