"""Make ``docs/images/two-levels-{dark,light}.png``: classes within kinds, in the Annotate step.

In a real viewer of 1280 by 800 pixels: pictures of single cells of PBC (CC BY 4.0, Acevedo et al.
2020, doi 10.1016/j.dib.2020.105474), whose sub-classes are in their file names, some annotated
as a hand would do. Needs the class folders of the data set and a display, or::

    xvfb-run -s "-screen 0 1280x800x24" python docs/screenshots_two_levels.py FOLDER [dark] [light]

Without such a FOLDER nothing is made.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from screenshots import THEMES, settle, take, wait_until, window

if TYPE_CHECKING:
    import napari

    from napari_hemacells.widgets import HemaCellsWidget

EACH, SHOTS = 30, 5  # pictures of a class, and annotated ones
CLASSES = {
    "neutrophil/BNE": ("neutrophil", "band"),
    "neutrophil/SNE": ("neutrophil", "segmented"),
    "ig/MMY": ("immature granulocyte", "metamyelocyte"),
    "ig/MY": ("immature granulocyte", "myelocyte"),
    "ig/PMY": ("immature granulocyte", "promyelocyte"),
    "lymphocyte/LY": ("lymphocyte", ""),
    "platelet/PLATELET": ("platelet", ""),
}


def mixed_folder(source: Path, folder: Path) -> dict[str, str]:
    """Copy some pictures of each class into one folder, in any order; return their classes."""
    files = []
    for prefix in CLASSES:
        kind, _, start = prefix.partition("/")
        files += [(one, prefix) for one in sorted((source / kind).glob(f"{start}_*"))[:EACH]]
    folder.mkdir()
    classes = {}
    for number, index in enumerate(np.random.default_rng(0).permutation(len(files)), start=1):
        file, prefix = files[index]
        name = f"{number:04d}{file.suffix}"
        shutil.copyfile(file, folder / name)
        classes[name] = prefix
    return classes


def tell(viewer: napari.Viewer, dock: HemaCellsWidget, source: Path, theme: str) -> None:
    """Open a folder, annotate some of each class within its kind, take a picture."""
    session = dock.session
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "analyser 12 March"
        classes = mixed_folder(source, folder)
        dock.controller.pictures.open_folder(folder)
        wait_until(lambda: session.embeddings is not None)
        wait_until(lambda: not len(session.image.sheet.not_loaded()))
        names = dict(zip(session.cells.ids.tolist(), session.cells.table["file"], strict=True))
        for class_id in list(session.palette.ids):
            session.delete_class(class_id)
        dock.controller.show_step("annotate")
        for prefix, (kind, within) in CLASSES.items():
            there = session.palette.by_name(kind)
            class_id = session.add_class(kind) if there is None else there.id
            if within:
                class_id = session.add_class(within, parent=class_id)
            mine = [cell for cell, name in names.items() if classes[name] == prefix]
            session.annotate(mine[:SHOTS], class_id)
        wait_until(lambda: session.prediction is not None)
        wait_until(lambda: len(session.prediction.class_ids) == len(CLASSES))
        wait_until(lambda: not dock.controller.tasks.jobs.running("classify"))
        settle(1)
        viewer.reset_view()
        take(viewer, "two-levels", theme)
        dock.controller.close()
        viewer.close()


def main() -> None:
    """The themes asked for, each with a fresh project."""
    folders = [Path(word) for word in sys.argv[1:] if word not in THEMES]
    if not folders or not (folders[0] / "neutrophil").is_dir():
        print("No class folders of PBC here: the pictures of two levels stay as they are.")
        return
    for theme in [word for word in sys.argv[1:] if word in THEMES] or THEMES:
        viewer, dock = window(theme)
        tell(viewer, dock, folders[0], theme)


if __name__ == "__main__":
    main()
