"""Make ``docs/images/adapt-dark.png``: the encoder adapted to one's own slides, with its verdict.

In a real viewer of 1280 by 800 pixels, on the project of ``screenshots_finetune.py``: synthetic
smears, or fields of the Chula data set where its folder is given::

    xvfb-run -s "-screen 0 1280x800x24" python docs/screenshots_adapt.py [FOLDER] [light] [STEPS]

STEPS: of the adaptation; else as many as it takes by itself. Other pictures that it takes
(``adapt-ready``, ``adapt-running``, ``adapt-used``) are written with ``--all``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from screenshots import settle, take, wait_until, window
from screenshots_finetune import make_project

if TYPE_CHECKING:
    import napari

    from napari_hemacells.widgets import HemaCellsWidget


def scroll(dock: HemaCellsWidget) -> None:
    """Bring the section into sight, whole."""
    settle(0.5)
    area = dock.classify_pages.currentWidget()
    box = dock.classify.adapt
    area.ensureVisible(0, box.y() + box.height(), 0, 12)


def tell(viewer: napari.Viewer, dock: HemaCellsWidget, theme: str, *, every: bool) -> None:
    """Go through an adaptation, and take pictures of its end or of each state."""
    session, box, run = dock.session, dock.classify.adapt, dock.controller.adapt_controller.run

    def picture(name: str) -> None:
        scroll(dock)
        take(viewer, name, theme)

    wait_until(lambda: session.prediction is not None)
    dock.controller.show_step("classify")
    settle()
    if every:
        take(viewer, "adapt-closed", theme)
    box.title.click()
    if every:
        picture("adapt-ready")
    box.start.click()
    wait_until(lambda: "to go" in box.status.text() and box.bar.value() > 1, seconds=1200)
    if every:
        picture("adapt-running")
    wait_until(lambda: not run.running, seconds=3600)
    picture("adapt")
    if box.use.isVisible() and every:
        name = session.live.encoder
        box.use.click()
        wait_until(lambda: session.live.encoder != name and session.prediction is not None)
        wait_until(lambda: not dock.controller.tasks.jobs.busy)
        picture("adapt-used")


def main() -> None:
    """One theme, a fresh project."""
    given = [one for one in sys.argv[1:] if not one.startswith("-")]
    steps = next((int(one) for one in given if one.isdigit()), None)
    folders = [one for one in given if not one.isdigit() and one not in {"dark", "light"}]
    theme = "light" if "light" in given else "dark"
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder), Path(folders[0]) if folders else None)
        viewer, dock = window(theme)
        dock.controller.project_controller.open_project(project)
        run = dock.controller.adapt_controller.run
        run.params = run.params.model_copy(update={"steps": steps})
        viewer.reset_view()
        tell(viewer, dock, theme, every="--all" in sys.argv)
        viewer.close()


if __name__ == "__main__":
    main()
