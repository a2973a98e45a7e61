"""The bundled network: its weights, its identity, the device."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy.ndimage import gaussian_filter

from napari_hemacells.core.encode import (
    bundled_encoder,
    choose_device,
    encoder_name_of,
    fingerprint,
)
from napari_hemacells.core.encode.builtin import (
    BUNDLED_FORMS,
    BUNDLED_WEIGHTS,
    FIVE_WEIGHTS,
    bundled_info,
    imagenet_backbone,
    load_blood_encoder,
    read_encoder_info,
)
from napari_hemacells.core.encode.network import NetworkEncoder
from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.types import EncoderInfo

pytestmark = pytest.mark.slow  # the real network; the fast ring has a stand-in


@pytest.fixture(scope="module")
def encoder():
    return bundled_encoder("cpu")


def test_identity(encoder):
    assert encoder.info == bundled_info()
    assert encoder.info.sha256 == hashlib.sha256(BUNDLED_WEIGHTS.read_bytes()).hexdigest()
    assert "PBC" in encoder.info.seen  # a figure on PBC is no test
    assert bundled_encoder("cpu") is encoder


def test_size_of_the_weights():
    assert BUNDLED_WEIGHTS.stat().st_size + FIVE_WEIGHTS.stat().st_size < 20e6


def test_vectors(encoder):
    crops = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    vectors = encoder.encode(crops)
    assert (vectors.shape, vectors.dtype) == ((3, encoder.info.dim), np.float32)
    np.testing.assert_allclose(encoder.encode(crops[1:2])[0], vectors[1], rtol=1e-3, atol=1e-4)
    assert encoder.encode(crops[:0]).shape == (0, encoder.info.dim)


def test_half_a_turn_more_or_less_hardly_changes_a_vector(encoder):
    """Vectors are a mean over turns, so a cell may lie as it likes."""
    crops = np.random.default_rng(0).integers(0, 256, (1, 96, 96, 3), dtype=np.uint8)
    blobs = gaussian_filter(crops.astype(float), (0, 8, 8, 0)).clip(0, 255).astype(np.uint8)
    upright, lying = encoder.encode(np.concatenate([blobs, np.rot90(blobs, 1, (1, 2))]))
    other = encoder.encode(np.roll(blobs, 32, axis=1))[0]
    assert np.linalg.norm(upright - lying) < 0.5 * np.linalg.norm(upright - other)


def test_the_parts_of_a_vector_are_those_of_the_readout(encoder):
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    readout = encoder.info.preprocessing["readout"]
    lengths = np.linalg.norm(encoder.encode(crops)[:, : readout["width"]], axis=1)
    assert (lengths <= readout["weight"] * 1.001).all()  # a mean of unit vectors, times the weight
    assert (lengths > readout["weight"] / 2).all()


def test_damaged_weights_are_refused(tmp_path):
    file = tmp_path / "encoder.safetensors"
    file.write_bytes(BUNDLED_WEIGHTS.read_bytes()[:1000])
    with pytest.raises(EncoderError, match="reinstall"):
        read_encoder_info(file)


def test_foreign_weights_are_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    with safe_open(BUNDLED_WEIGHTS, framework="numpy") as stored:
        header = stored.metadata()
    tensors = load_file(BUNDLED_WEIGHTS)
    tensors.pop("embed.weight")
    save_file(tensors, tmp_path / "other.safetensors", metadata=header)
    with pytest.raises(EncoderError, match="do not fit"):
        load_blood_encoder(tmp_path / "other.safetensors", "cpu")


class Greedy(torch.nn.Module):
    """Runs out of memory beyond two pictures."""

    def forward(self, images):
        if len(images) > 2:
            raise torch.OutOfMemoryError
        return images.mean((2, 3))


def test_a_batch_too_large_is_halved():
    info = EncoderInfo("greedy", "0" * 64, 3, {"mean": [0.0] * 3, "std": [1.0] * 3})
    crops = (
        np.arange(7, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2).repeat(3, 3)
    )
    vectors = NetworkEncoder(Greedy(), info, "cpu").encode(crops)
    np.testing.assert_allclose(vectors[:, 0] * 255, np.arange(7), rtol=1e-5)


def test_the_device_is_chosen_with_a_reason(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    chosen = choose_device("auto")
    assert chosen.name == "cpu"
    assert "GPU" in chosen.reason
    with pytest.raises(EncoderError, match="cuda cannot be used"):
        choose_device("cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert choose_device("auto").name == "cuda"
    assert choose_device("cpu").name == "cpu"


def test_importing_the_package_does_not_import_torch():
    code = "import sys, napari_hemacells.core.encode as e; print('torch' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


def test_it_does_not_matter_how_a_cell_lies_but_to_the_faster_form(encoder):
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    turned = np.rot90(crops, 1, (1, 2)).copy()
    faster = bundled_encoder("cpu", "bundled-2-turns")
    np.testing.assert_allclose(encoder.encode(crops), encoder.encode(turned), atol=1e-3)
    assert not np.allclose(faster.encode(crops), faster.encode(turned), atol=1e-1)


def test_vectors_of_one_form_are_not_mixed_with_those_of_another():
    infos = {form: bundled_info(form) for form in BUNDLED_FORMS}
    assert len({fingerprint(info) for info in infos.values()}) == len(infos)
    assert {form: encoder_name_of(info) for form, info in infos.items()} == {
        form: form for form in infos
    }


def test_stages_that_are_not_in_a_file_are_those_of_imagenet():
    five = bundled_encoder("cpu", "blood-2")
    with safe_open(FIVE_WEIGHTS, framework="numpy") as stored:
        assert not any(name.startswith("untaught.") for name in stored.keys())  # noqa: SIM118
    own = imagenet_backbone().blocks[2].state_dict()
    for name, value in five.network.untaught[0].state_dict().items():
        torch.testing.assert_close(value, own[name])


def test_blood_2_says_that_it_has_seen_more_laboratories():
    assert bundled_info("blood-2").dim == bundled_info().dim
    for laboratory in ("Raabin", "Chula WBC", "PBC", "ImageNet"):
        assert laboratory in bundled_info("blood-2").seen
    assert "Raabin" not in bundled_info().seen
