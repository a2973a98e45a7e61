"""Names of encoders, known before anything is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from napari_hemacells.core import encoder_names
from napari_hemacells.core.encode import foundation, registry
from napari_hemacells.core.encoder_names import (
    DINOBLOOM_NAMES,
    INSTALLED,
    NAME_PATTERNS,
    PUBLISHED,
    invalid_name_reason,
    with_absolute_path,
)
from napari_hemacells.core.params import ClassifyParams, EncodeParams, NetworkParams


def test_the_names_are_those_of_the_registry():
    assert set(INSTALLED) == set(registry.ENCODER_FACTORIES)
    assert {*NAME_PATTERNS, *PUBLISHED} == set(registry.KINDS)
    assert set(PUBLISHED) == set(foundation.FOUNDATION_NAMES)
    assert set(DINOBLOOM_NAMES) == set(foundation.DINOBLOOM)
    assert INSTALLED[0] == registry.BUNDLED


@pytest.mark.parametrize(
    "name",
    [
        *INSTALLED,
        *PUBLISHED,
        "timm:resnet18.a1_in1k?size=96",
        "timm:hf_hub:owner/model",
        "file:/a/net.pth?arch=resnet18",
        "adapted:/a/b.safetensors",
        "untrained:resnet18",
        "dinobloom-s:/a/DinoBloom-S.pth",
        "reddino-small?size=112",
    ],
)
def test_a_name_that_can_be_is_taken_and_parsed_alike(name):
    assert EncodeParams(encoder=name).encoder == name
    assert (
        name in registry.ENCODER_FACTORIES
        or encoder_names.parse_encoder_name(name, registry.KINDS).kind
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bundeld", "did you mean bundled?"),
        ("resnet18", "a model of timm is named timm:resnet18"),
        ("timm:", "timm:NAME"),
        ("file:/a/net.pth", r"file:PATH\?arch=NAME"),
        ("file:/a/net.pth?arch=", r"file:PATH\?arch=NAME"),
        ("", "there are: bundled, bundled-2-turns, blood-2, imagenet"),
        ("imagenet:/a", "did you mean imagenet"),
    ],
)
def test_another_name_is_refused_in_a_sentence(name, reason):
    with pytest.raises(ValidationError, match=reason):
        EncodeParams(encoder=name)


def test_names_are_checked_without_a_network_library():
    code = (
        "import sys\nfrom napari_hemacells.core.params import EncodeParams\n"
        "from napari_hemacells.core.encoder_names import invalid_name_reason\n"
        "EncodeParams(encoder='timm:resnet18'); assert invalid_name_reason('nonsense')\n"
        "print(sorted({'torch', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_file_is_named_from_the_root(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert with_absolute_path("file:a.pth?arch=resnet18") == f"file:{tmp_path}/a.pth?arch=resnet18"
    assert with_absolute_path("adapted:~/b.safetensors") == f"adapted:{Path.home()}/b.safetensors"
    assert with_absolute_path("timm:resnet18") == "timm:resnet18"
    assert with_absolute_path("dinobloom-s") == "dinobloom-s"
    assert invalid_name_reason(with_absolute_path("dinobloom-s:x.pth")) == ""


def test_what_a_batch_of_images_depends_on_is_named_as_before():
    assert set(NetworkParams().model_dump()) == {"device", "batch_size"}
    assert "encoder" not in ClassifyParams.model_fields
