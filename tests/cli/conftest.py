"""A small field of discs in two colours, crops of them, and an encoder that sees colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner, Result

from napari_hemacells.cli import app
from napari_hemacells.core import encode
from napari_hemacells.core.types import EncoderInfo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GLASS = (235, 228, 232)
COLOURS = {"red": (200, 80, 90), "violet": (90, 40, 150)}
ODD = {"green": (60, 170, 70)}  # of no class
RADIUS = 8


class ColourEncoder:
    """Mean colour of the middle of a crop, spread over 8 numbers by a seeded layer."""

    info = EncoderInfo(name="colour", sha256="c" * 64, dim=8)
    device = "cpu"

    def encode(self, crops: np.ndarray) -> np.ndarray:
        middle = slice(crops.shape[1] // 3, 2 * crops.shape[1] // 3)
        means = crops[:, middle, middle].reshape(len(crops), -1, 3).mean(axis=1) / 255
        layer = np.random.default_rng(0).normal(size=(3, 8))
        return np.asarray(means @ layer, dtype=np.float32)


@pytest.fixture
def colour_encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ColourEncoder:
    """The encoder that the commands get instead of the bundled network."""
    encoder = ColourEncoder()
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "cache"))
    monkeypatch.setattr("napari_hemacells.core.encode.bundled_encoder", lambda device: encoder)
    named = encode.load_encoder
    monkeypatch.setattr(
        "napari_hemacells.core.encode.load_encoder",
        lambda name, device="auto": encoder if name == "bundled" else named(name, device),
    )
    monkeypatch.setattr("napari_hemacells.core.encode.encoder_like", lambda info, device: encoder)
    return encoder


def draw(kinds: list[str], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Picture and label image of a row of discs, one of each kind named."""
    side = 4 * RADIUS
    pixels = np.full((side, side * len(kinds), 3), GLASS, np.float64)
    labels = np.zeros(pixels.shape[:2], np.int32)
    rows, cols = np.indices(labels.shape)
    for place, kind in enumerate(kinds):
        disc = np.hypot(rows - side / 2, cols - side * (place + 0.5)) <= RADIUS
        pixels[disc], labels[disc] = (COLOURS | ODD)[kind], 10 * (place + 1)
    noisy = pixels + np.random.default_rng(seed).normal(0, 6, pixels.shape)
    return noisy.clip(0, 255).astype(np.uint8), labels


@pytest.fixture
def draw_discs() -> Callable[[list[str], int], tuple[np.ndarray, np.ndarray]]:
    """Draw a row of discs: picture and label image."""
    return draw


@pytest.fixture
def crops_folder(tmp_path: Path) -> Path:
    """Six crops of each colour in class folders, and a folder without pictures."""
    folder = tmp_path / "crops"
    for number, kind in enumerate(COLOURS):
        (folder / kind).mkdir(parents=True)
        for seed in range(6):
            Image.fromarray(draw([kind], 10 * number + seed)[0]).save(
                folder / kind / f"{seed}.png"
            )
    (folder / "empty").mkdir()
    return folder


@pytest.fixture
def field(tmp_path: Path) -> Path:
    """A field of three discs, ``field.png``, with ``field.labels.tif`` beside it."""
    pixels, labels = draw(["red", "violet", "red"], seed=99)
    Image.fromarray(pixels).save(tmp_path / "field.png")
    tifffile.imwrite(tmp_path / "field.labels.tif", labels)
    return tmp_path / "field.png"


@pytest.fixture
def hemacells() -> Callable[..., Result]:
    """Run the command line with these arguments."""

    def run(*arguments: Any) -> Result:
        return CliRunner().invoke(app, [str(one) for one in arguments])

    return run
