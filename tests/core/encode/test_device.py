"""Where a network runs, in which precision, and what happens where it does not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_hemacells.core.encode.device import is_out_of_memory, precision_on
from napari_hemacells.core.encode.network import NetworkEncoder
from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.types import EncoderInfo

INFO = EncoderInfo("fake", "0" * 64, 3, {"mean": [0.0] * 3, "std": [1.0] * 3})
CROPS = np.arange(7, dtype=np.uint8).reshape(7, 1, 1, 1).repeat(4, 1).repeat(4, 2).repeat(3, 3)


class Narrow(torch.nn.Module):
    """Raises an error beyond some pictures; remembers how many it was given."""

    def __init__(self, room, error):
        super().__init__()
        self.room, self.error, self.given = room, error, []

    def forward(self, images):
        self.given.append(len(images))
        if len(images) > self.room:
            raise self.error
        return images.mean((2, 3))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
    ids=["cuda", "mps", "cpu", "python"],
)
def test_the_batch_is_halved_and_stays_small(error):
    network = Narrow(2, error)
    encoder = NetworkEncoder(network, INFO, "cpu")
    assert encoder.largest_batch is None
    vectors = encoder.encode(CROPS)
    np.testing.assert_allclose(vectors[:, 0] * 255, np.arange(7), rtol=1e-5)
    assert encoder.largest_batch == 1  # of seven: three, then one
    assert network.given[:3] == [7, 3, 1]
    network.given.clear()
    encoder.encode(CROPS[:4])
    assert network.given == [1, 1, 1, 1]


def test_other_errors_are_not_caught():
    network = Narrow(2, RuntimeError("shapes cannot be multiplied"))
    encoder = NetworkEncoder(network, INFO, "cpu")
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        encoder.encode(CROPS)
    assert network.given == [7]
    assert encoder.largest_batch is None


def test_a_memory_too_small_for_one_crop_is_told():
    with pytest.raises(EncoderError, match="memory of cpu is full"):
        NetworkEncoder(Narrow(0, torch.OutOfMemoryError()), INFO, "cpu").encode(CROPS)


def test_an_out_of_memory_error_is_known_without_words():
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert not is_out_of_memory(RuntimeError("something else"))


def test_bfloat16_where_the_chip_multiplies_in_it(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: False)
    assert precision_on("cuda") == "float32"
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: True)
    assert precision_on("cuda") == "bfloat16"
    assert precision_on("mps") == "float32"
    for able in ({"avx512_bf16": True}, {}):
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda able=able: able, raising=False)
        assert precision_on("cpu") == ("bfloat16" if able else "float32")


def test_bfloat16_changes_vectors_by_rounding_alone():
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 16, 3), torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 3)]
    network = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    info = replace(INFO, dim=32)
    crops = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    exact = NetworkEncoder(network, info, "cpu").encode(crops)
    rounded = NetworkEncoder(network, info, "cpu", "bfloat16").encode(crops)
    assert rounded.dtype == np.float32
    difference = np.linalg.norm(exact - rounded, axis=1)
    assert (difference > 0).all()
    assert (difference < 0.01 * np.linalg.norm(exact, axis=1)).all()
