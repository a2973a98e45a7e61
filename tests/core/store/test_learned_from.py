"""What a model learned from: kept in its bundle, unknown of old ones, said where it differs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_hemacells.core.annotate import default_palette
from napari_hemacells.core.errors import BundleError
from napari_hemacells.core.store import (
    Bundle,
    describe_learned_from,
    framing_warning,
    load_bundle,
    other_kind_warning,
    save_bundle,
)
from napari_hemacells.core.types import CropSpec, EncoderInfo, LearnedFrom

if TYPE_CHECKING:
    from pathlib import Path

PICTURES = LearnedFrom("pictures", context=1.6, side=360)
CELLS = LearnedFrom("cells", diameter=62.0)


@pytest.fixture
def bundle() -> Bundle:
    vectors = np.eye(4, dtype=np.float32)[:2]
    tensors = {"weight": np.ones((2, 4), np.float32)}
    return Bundle(
        "m", EncoderInfo("e", "0" * 64, 4), CropSpec(), default_palette(), tensors, {}, vectors,
        ("rbc", "wbc"),
    )  # fmt: skip


@pytest.mark.parametrize("learned", [PICTURES, CELLS, PICTURES.joined(CELLS)])
def test_it_comes_back_with_the_bundle(bundle: Bundle, tmp_path: Path, learned) -> None:
    folder = save_bundle(tmp_path / "m", replace(bundle, learned_from=learned))
    assert json.loads((folder / "bundle.json").read_text())["version"] == 3
    assert load_bundle(folder).learned_from == learned


def test_a_changed_word_is_noticed(bundle: Bundle, tmp_path: Path) -> None:
    folder = save_bundle(tmp_path / "m", replace(bundle, learned_from=PICTURES))
    file = folder / "bundle.json"
    file.write_text(file.read_text().replace('"pictures"', '"cells"'))
    with pytest.raises(BundleError, match="hash"):
        load_bundle(folder)
    file.write_text(file.read_text().replace("1.6", "-1.6"))
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(folder)


def test_what_is_unknown_is_written_as_before_and_said(bundle: Bundle, tmp_path: Path) -> None:
    folder = save_bundle(tmp_path / "m", bundle)
    content = json.loads((folder / "bundle.json").read_text())
    assert content["version"] == 2
    assert "learned_from" not in content
    back = load_bundle(folder)
    assert back.learned_from is None
    for whole in (True, False):
        assert "does not say whether" in other_kind_warning(back, whole=whole)
    assert framing_warning(back, 3.0) == ""


def test_the_other_kind_is_a_sentence_with_the_scale(bundle: Bundle) -> None:
    of_cells = replace(bundle, learned_from=CELLS)
    assert other_kind_warning(of_cells, whole=False) == ""
    said = other_kind_warning(of_cells, whole=True)
    assert "learned from cells of about 62 pixels found in images; here each picture" in said
    of_pictures = replace(bundle, learned_from=PICTURES)
    assert other_kind_warning(of_pictures, whole=True) == ""
    said = other_kind_warning(of_pictures, whole=False)
    assert "whole pictures of one cell each, which fills 62% of the side; here it is" in said
    both = replace(bundle, learned_from=CELLS.joined(PICTURES))
    assert other_kind_warning(both, whole=True) == other_kind_warning(both, whole=False) == ""
    assert describe_learned_from(both).count(" and ") == 1


def test_pictures_with_much_smaller_cells_are_a_sentence(bundle: Bundle) -> None:
    of_pictures = replace(bundle, learned_from=PICTURES)
    assert framing_warning(of_pictures, 1.8) == ""
    assert "fill about 25% of the side of these pictures, and 62%" in (
        framing_warning(of_pictures, 4.0)
    )
