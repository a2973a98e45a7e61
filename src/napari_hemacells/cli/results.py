"""The files in which the demo's story ends."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_hemacells.cli.story import Story
from napari_hemacells.cli.tally import count


@dataclass(frozen=True)
class Results:
    """What was found and where it lies."""

    story: Story
    predicted: dict[str, int]
    files: dict[str, Path]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        scored = asdict(self.story.score) | {"accuracy": self.story.score.accuracy}
        if not self.story.score.total:
            scored |= {"low": None, "high": None, "accuracy": None}
        return {
            "cells": len(self.story.cells),
            "true_cells": self.story.true_cells,
            "clicks": count(self.story.clicks.values()),
            "clicks_from": "synthetic ground truth",
            "predicted": self.predicted,
            "head": self.story.prediction.head,
            "score": scored,
            "files": {name: str(path) for name, path in self.files.items()},
        }


def write_results(story: Story, folder: Path) -> Results:
    """Return what was found, after writing overlay, table, bundle and report.

    Raises
    ------
    StorageError
        If one of them cannot be written.
    """
    from napari_hemacells.core.store import (
        cells_table,
        class_overlay,
        save_bundle,
        shown_classes,
        write_csv,
        write_overlay,
        write_report,
    )
    from napari_hemacells.core.store.report import ReportInput

    session, image, cells = story.session, story.image, story.cells
    palette, said = session.palette, session.annotations
    table = cells_table(image, cells, said, story.prediction, palette)
    shown = shown_classes(cells, said, story.prediction, palette)
    files = {
        "overlay": folder / "overlay.png",
        "cells": folder / "cells.csv",
        "model": folder / "model",
        "report": folder / "report.html",
        "project": story.project.folder,
    }
    write_overlay(files["overlay"], class_overlay(image, cells, shown, palette, legend=True))
    write_csv(files["cells"], table)
    save_bundle(files["model"], session.make_bundle("HemaCells demo"))
    page = ReportInput(
        image=image,
        cells=cells,
        annotations=said,
        prediction=story.prediction,
        palette=palette,
        spec=story.embeddings.spec,
        encoder=story.embeddings.encoder,
        title="A synthetic smear; the clicks come from its ground truth",
    )
    write_report(files["report"], page)
    return Results(story, count(table["class"]), files)
