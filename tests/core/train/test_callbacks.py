from __future__ import annotations

import errno
import os

import pytest

from napari_hemacells.core.errors import StorageError, TrainingError

torch = pytest.importorskip("torch")

from napari_hemacells.core.train.callbacks import load_checkpoint, save_checkpoint  # noqa: E402
from napari_hemacells.core.train.ema import ModelEma  # noqa: E402


def test_checkpoint_comes_back_as_it_was(tmp_path) -> None:
    file = tmp_path / "run" / "checkpoint.pt"
    assert load_checkpoint(file) is None
    save_checkpoint(file, {"step": 3, "network": {"weight": torch.arange(4.0)}})
    state = load_checkpoint(file)
    assert state["step"] == 3
    assert state["network"]["weight"].tolist() == [0, 1, 2, 3]


def test_damaged_checkpoint_is_a_sentence(tmp_path) -> None:
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match="remove it, and the training begins anew"):
        load_checkpoint(file)


def test_full_disk_is_a_sentence_and_leaves_the_checkpoint_before(tmp_path, monkeypatch) -> None:
    file = tmp_path / "checkpoint.pt"
    save_checkpoint(file, {"step": 1})

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("napari_hemacells.core.files.fsio.os.fsync", full)
    with pytest.raises(StorageError, match="full"):
        save_checkpoint(file, {"step": 2})
    assert load_checkpoint(file) == {"step": 1}


def test_running_mean_follows_faster_at_first() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(0.0)
    mean = ModelEma(network, keep=0.9)
    with torch.no_grad():
        network.weight.fill_(1.0)
    mean.add(network, step=1)
    assert mean.tensors["weight"].item() == pytest.approx(1 - 2 / 11)
    before = mean.tensors["weight"].item()
    mean.add(network, step=1000)
    assert mean.tensors["weight"].item() == pytest.approx(0.9 * before + 0.1)


@pytest.mark.parametrize("state", [[1], "text", None, 3])
def test_a_checkpoint_of_something_else_is_a_sentence(tmp_path, state) -> None:
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(TrainingError, match="remove it"):
        load_checkpoint(tmp_path / "checkpoint.pt")
