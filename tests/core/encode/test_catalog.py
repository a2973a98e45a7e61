"""What the name of an encoder says."""

from __future__ import annotations

import pytest

from napari_hemacells.core.encode.registry import KINDS
from napari_hemacells.core.encoder_names import parse_encoder_name, parse_input_size
from napari_hemacells.core.errors import EncoderError


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("timm:resnet18.a1_in1k", ("timm", "resnet18.a1_in1k", {})),
        ("resnet18", ("", "resnet18", {})),
        ("timm:hf_hub:Snarcy/RedDino-small", ("timm", "hf_hub:Snarcy/RedDino-small", {})),
        ("dinobloom-s", ("dinobloom-s", "", {})),
        ("dinobloom-b:/a b/c.pth", ("dinobloom-b", "/a b/c.pth", {})),
        ("file:C:\\w.pt?arch=resnet18", ("file", "C:\\w.pt", {"arch": "resnet18"})),
    ],
)
def test_parts_of_a_name(name, parts):
    assert tuple(parse_encoder_name(name, KINDS)) == parts


def test_the_size_is_a_whole_number_of_pixels():
    assert parse_input_size(parse_encoder_name("timm:resnet18?size=96", KINDS)) == 96
    assert parse_input_size(parse_encoder_name("timm:resnet18", KINDS)) is None
    for wrong in ("size=big", "size=0", "depth=3"):
        with pytest.raises(EncoderError, match="size in pixels"):
            parse_input_size(parse_encoder_name(f"timm:resnet18?{wrong}", KINDS))
