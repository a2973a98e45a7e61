"""A server of two small models, as a user starts it, and a browser that opens its page."""

from __future__ import annotations

import re
import shutil
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
from PIL import Image

from napari_hemacells.core.annotate.palette import Palette
from napari_hemacells.core.classify import SupportSet, fit
from napari_hemacells.core.store import Bundle
from napari_hemacells.core.types import CropSpec, EncoderInfo, LearnedFrom
from napari_hemacells.serve.classifiers import ServedModel
from napari_hemacells.serve.limits import Limits
from napari_hemacells.serve.server import listen, make_access, make_server, page_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_hemacells.serve.guard import Access

COLOURS = {"red": (200, 80, 90), "violet": (90, 40, 150)}
GLASS = (235, 228, 232)
SPEC = CropSpec(size=32)


class ColourEncoder:
    """Mean colour of the middle of a crop, spread over 8 numbers by a seeded layer."""

    info = EncoderInfo(name="colour", sha256="c" * 64, dim=8, seen="no cells <b>at all</b>")
    device = "cpu"

    def encode(self, crops: np.ndarray) -> np.ndarray:
        middle = slice(crops.shape[1] // 3, 2 * crops.shape[1] // 3)
        means = crops[:, middle, middle].reshape(len(crops), -1, 3).mean(axis=1) / 255
        layer = np.random.default_rng(0).normal(size=(3, 8))
        return np.asarray(means @ layer, dtype=np.float32)


def draw(colour: tuple[int, int, int], seed: int = 0, side: int = 64) -> np.ndarray:
    """A disc of a colour on glass, in the middle of a picture."""
    rows, cols = np.indices((side, side))
    pixels = np.full((side, side, 3), GLASS, np.float64)
    pixels[np.hypot(rows - side / 2, cols - side / 2) <= 0.4 * side] = colour
    noisy = pixels + np.random.default_rng(seed).normal(0, 4, pixels.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def make_model(name: str) -> ServedModel:
    """A few-shot model of red and violet discs."""
    encoder = ColourEncoder()
    crops = [draw(colour, seed, 32) for colour in COLOURS.values() for seed in range(8)]
    vectors = encoder.encode(np.stack(crops))
    palette = Palette()
    for kind in COLOURS:
        palette = palette.add(kind)
    labels = tuple(class_id for class_id in palette.ids for _ in range(8))
    head = fit(SupportSet(vectors, labels), palette.ids)
    tensors, meta = head.to_tensors()
    learned = LearnedFrom("pictures", context=1.25, side=64)
    bundle = Bundle(
        name, encoder.info, SPEC, palette, tensors, meta, vectors, labels, learned_from=learned
    )
    model = ServedModel(f"model-{len(name)}", bundle)
    model.__dict__["encoder"] = encoder  # as if it had been loaded
    return model


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    access: Access
    limits: Limits

    @property
    def address(self) -> str:
        return page_address(self.access).rstrip("/")

    @property
    def token(self) -> dict[str, str]:
        return {"X-HemaCells-Token": self.access.page_token}

    def client(self, **more: object) -> httpx.Client:
        return httpx.Client(base_url=self.address, headers=self.token, timeout=60, **more)


@contextmanager
def running(
    models: list[ServedModel], limits: Limits, host: str = "127.0.0.1"
) -> Iterator[Running]:
    """Run a server in a thread, on a port of its own."""
    with listen(host, 0) as sock:
        access = make_access(host, sock)
        server = make_server(models, access, limits)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        yield Running(access, limits)
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    limits = Limits(picture_bytes=2 * 2**20, pictures=60, seconds=30)
    with running([make_model("first"), make_model("other <i>one</i>")], limits) as one:
        yield one


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """``red.png``, ``violet.png``, one unlike both, and files that are no pictures."""
    for name, colour in {**COLOURS, "green": (20, 230, 60)}.items():
        Image.fromarray(draw(colour, seed=99)).save(tmp_path / f"{name}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "broken.png").write_bytes((tmp_path / "red.png").read_bytes()[:200])
    return tmp_path


@pytest.fixture(scope="module")  # while it runs, asyncio of others does not
def chromium() -> Iterator[object]:
    """The system's Chromium; without it these tests fail, for CI installs it."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, "no Chromium: run scripts/system_libraries.sh"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, server: Running) -> Iterator[object]:
    """The page, opened; whatever its console complains about fails the test."""
    context = chromium.new_context(viewport={"width": 800, "height": 900}, accept_downloads=True)
    one = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    one.on("console", lambda message: said.append(message.text) if message.type == "error" else 0)
    one.on("pageerror", lambda error: said.append(str(error)))
    one.on("request", lambda request: asked.append(request.url))
    one.goto(server.address)
    yield one
    context.close()
    # A picture that is refused is an answer of 4xx, which the console tells as well.
    assert [line for line in said if not re.search(r"status of 4(13|22)", line)] == []
    assert [url for url in asked if not url.startswith((server.address, "data:", "blob:"))] == []
