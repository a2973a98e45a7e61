"""Make ``docs/images/serve-{light,dark}.png`` and ``serve-error-{light,dark}.png``.

Cells of synthetic smears teach a model; the page of ``hemacells serve`` is then asked about others
in a real browser::

    python docs/screenshots_serve.py

Needs playwright and a browser of chromium's family.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright
from screenshots_report import BROWSERS, IMAGES, cells_of
from typer.testing import CliRunner

from napari_hemacells.cli import app
from napari_hemacells.serve.classifiers import load_classifiers
from napari_hemacells.serve.limits import Limits
from napari_hemacells.serve.server import listen, make_access, make_server, page_address

LEARNED, ASKED = range(5), 90  # seeds of the smears
CLASSES = ("Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil")
WAIT = 300_000  # ms


def make_model(folder: Path) -> Path:
    """Return a model that ``hemacells fit`` made of synthetic white cells."""
    for seed in LEARNED:
        for number, (crop, label) in enumerate(cells_of(seed)):
            if label in CLASSES:
                (folder / "cells" / label).mkdir(parents=True, exist_ok=True)
                Image.fromarray(crop).save(folder / "cells" / label / f"{seed}-{number}.png")
    arguments = ["fit", str(folder / "cells"), "--out", str(folder / "white cells")]
    result = CliRunner().invoke(app, arguments)
    if result.exit_code:
        raise SystemExit(result.output)
    return folder / "white cells"


def make_pictures(folder: Path) -> list[Path]:
    """Return a picture of each class, and one that is like none."""
    found = {label: crop for crop, label in cells_of(ASKED) if label in CLASSES}
    rows, cols = np.indices((80, 80))
    stripes = np.repeat((128 + 90 * np.sin((rows + cols) / 4))[..., np.newaxis], 3, axis=2)
    pictures = {f"{label.lower()}.png": crop for label, crop in sorted(found.items())[:3]}
    pictures["stripes.png"] = stripes.astype(np.uint8)
    for name, crop in pictures.items():
        Image.fromarray(crop).save(folder / name)
    (folder / "notes.docx").write_bytes(b"PK no picture")
    return [folder / name for name in pictures]


def photograph(address: str, pictures: list[Path], scheme: str) -> None:
    """Save the page with results, and with a file that is no picture."""
    browsers = (shutil.which(one) for one in BROWSERS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=next(filter(None, browsers)), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1000, "height": 900}, color_scheme=scheme)
        for name, files in (
            ("serve", pictures),
            ("serve-error", [pictures[0], pictures[0].with_name("notes.docx")]),
        ):
            page.goto(address)
            page.set_input_files("#files", files)
            page.locator("#progress").filter(has_text="classified").wait_for(timeout=WAIT)
            if name == "serve":
                page.locator(".show-heat").nth(1).click()
                page.locator(".heat").nth(1).wait_for(state="visible", timeout=WAIT)
            height = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({"width": 1000, "height": min(height, 1400)})
            height = page.evaluate(
                "document.querySelector('footer').getBoundingClientRect().bottom"
            )
            page.set_viewport_size({"width": 1000, "height": round(height) + 24})
            page.evaluate("document.activeElement.blur()")
            page.screenshot(path=IMAGES / f"{name}-{scheme}.png")
            page.set_viewport_size({"width": 1000, "height": 900})
        browser.close()


def main() -> None:
    """Make the pictures."""
    with tempfile.TemporaryDirectory() as made, listen("127.0.0.1", 0) as sock:
        folder = Path(made)
        models = load_classifiers([make_model(folder)], "cpu")
        access = make_access("127.0.0.1", sock)
        server = make_server(models, access, Limits())
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        pictures = make_pictures(folder)
        for scheme in ("light", "dark"):
            photograph(page_address(access), pictures, scheme)
        server.should_exit = True
        thread.join(20)


if __name__ == "__main__":
    main()
