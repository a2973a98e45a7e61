"""Encoders by name, and the one that made a stored model."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from napari_hemacells.core.encode import encoder_like, encoder_name_of, load_encoder
from napari_hemacells.core.encode.builtin import bundled_info, imagenet_info
from napari_hemacells.core.errors import EncoderError


def test_an_encoder_is_known_by_its_weights():
    assert encoder_name_of(bundled_info()) == "bundled"
    assert encoder_name_of(replace(imagenet_info(), name="its old name")) == "imagenet"
    assert encoder_name_of(replace(imagenet_info(), sha256="0" * 64)) is None


def test_other_preprocessing_is_another_encoder():
    assert encoder_name_of(replace(imagenet_info(), preprocessing={"mean": [0.0] * 3})) is None


def test_unknown_names_are_refused_with_those_that_are_known():
    with pytest.raises(EncoderError, match=r"resnet99.*bundled, bundled-2-turns, imagenet"):
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
