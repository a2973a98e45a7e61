"""The triage of all images as one page of HTML and one table, for a second look by an expert."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_hemacells import __version__
from napari_hemacells.core.annotate.palette import UNKNOWN_COLOUR
from napari_hemacells.core.annotate.state import utc_now
from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.files.fsio import read_bytes, write_bytes
from napari_hemacells.core.files.text_tables import write_table
from napari_hemacells.core.store.class_counts import count_classes
from napari_hemacells.core.store.triage import RESEMBLED
from napari_hemacells.core.types import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_hemacells.core.annotate.palette import Palette
    from napari_hemacells.core.classify.verification import Likeness
    from napari_hemacells.core.store.triage import ImageTriage, OddCell

HTML_NAME, CSV_NAME = "triage.html", "triage.csv"
MOST_SHOWN = 600  # odd cells on the page: a page of more is too heavy to be read
COMPARED = 6  # typical cells of each class on the page
_MAX_BYTES = 2**26
_COLUMNS = (
    "image", "group", "cell", "row", "col", "oddness",
    "resembles", "distance", "likeness", "same kind",
    "resembles next", "distance next", "likeness next", "same kind next", "crop", "second look",
)  # fmt: skip
NO_DIAGNOSIS = (
    "This list is no diagnosis and is not meant for one. It shows which cells a program could "
    "not place, so that a person who knows blood looks at them a second time."
)


@dataclass(frozen=True)
class TriagedImage:
    """An image of the report.

    Attributes
    ----------
    label
        What it is called in all tables.
    group
        What its cells belong to; ``""`` for nothing.
    triage
        What it gave.
    crops
        Folder of its crops.
    """

    label: str
    group: str
    triage: ImageTriage
    crops: Path


@dataclass(frozen=True)
class TriageReport:
    """All that the page says something about.

    Attributes
    ----------
    model
        Name of the model.
    learned
        Annotated cells that it learned from, by the name of the class.
    seen
        What its encoder was trained on, in words.
    likeness
        On what the likeness rests, in words.
    odd_means
        When a cell is called odd, in words.
    left_out
        Images without a result, with the reason.
    """

    images: tuple[TriagedImage, ...]
    palette: Palette
    model: str
    learned: dict[str, int]
    seen: str
    likeness: str
    odd_means: str
    left_out: tuple[str, ...] = ()
    created: str = field(default_factory=utc_now)


def write_triage_report(folder: Path, report: TriageReport) -> tuple[Path, Path]:
    """Write ``triage.csv`` and ``triage.html``, each whole or not at all; return their paths.

    Raises
    ------
    StorageError
        One of them cannot be written, or a crop is missing.
    """
    table, page = folder / CSV_NAME, folder / HTML_NAME
    write_table(table, _COLUMNS, _rows(report, folder))
    write_bytes(page, render_triage(report).encode())
    return page, table


def render_triage(report: TriageReport) -> str:
    """Return the page as HTML text; it refers to no other file and to no network."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("napari_hemacells.core.store"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("triage.html").render(_values(report))


def _values(report: TriageReport) -> dict[str, Any]:
    names = [cell_class.name for cell_class in report.palette]
    total = sum(image.triage.cells for image in report.images)
    odd = sum(len(image.triage.odd) for image in report.images)
    placed = Counter[str]()
    for image in report.images:
        placed.update(image.triage.counts)
    unplaced = total - odd - placed.total()
    counts = count_classes([*placed.elements(), *[UNKNOWN] * odd, *[""] * unplaced], names)
    left, sections = MOST_SHOWN, []
    for image in sorted(report.images, key=lambda one: -len(one.triage.odd)):
        cells = image.triage.odd[: max(left, 0)]
        left -= len(cells)
        if cells:
            sections.append(
                {
                    "image": image,
                    "overview": _uri(image.crops / image.triage.overview),
                    "cells": [(cell, _uri(image.crops / cell.crop)) for cell in cells],
                }
            )
    return {
        "report": report,
        "version": __version__,
        "total": total,
        "odd": odd,
        "unplaced": unplaced,
        "shown_odd": min(odd, MOST_SHOWN),
        "counts": counts,
        "colours": {cell_class.name: cell_class.colour for cell_class in report.palette},
        "odd_colour": UNKNOWN_COLOUR,
        "sections": sections,
        "examples": _examples(report),
        "no_diagnosis": NO_DIAGNOSIS,
        "with_odd": sum(bool(image.triage.odd) for image in report.images),
        "percentages": any(
            known.p_same is not None
            for image in report.images
            for cell in image.triage.odd
            for known in cell.resembles
        ),
    }


def _examples(report: TriageReport) -> list[tuple[str, list[str]]]:
    """Return some typical cells of each class, from different images where there are some."""
    rows = []
    for cell_class in report.palette:
        given = [
            [image.crops / file for file in image.triage.examples.get(cell_class.name, ())]
            for image in report.images
        ]
        deepest = max(map(len, given), default=0)
        files = [own[turn] for turn in range(deepest) for own in given if turn < len(own)]
        if files:
            rows.append((cell_class.name, [_uri(file) for file in files[:COMPARED]]))
    return rows


def _uri(path: Path) -> str:
    try:
        data = read_bytes(path, _MAX_BYTES)
    except (OSError, StorageError) as error:
        raise StorageError(
            f"The picture {path} is missing: run the command again without --skip-done."
        ) from error
    kind = "jpeg" if path.suffix == ".jpg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _rows(report: TriageReport, folder: Path) -> Iterator[tuple[object, ...]]:
    for image in report.images:
        for cell in image.triage.odd:
            crop = (image.crops / cell.crop).relative_to(folder).as_posix()
            yield (
                image.label, image.group, cell.cell, cell.row, cell.col, cell.score,
                *_resembling(cell), crop, "",
            )  # fmt: skip


def _resembling(cell: OddCell) -> Iterator[object]:
    for place in range(RESEMBLED):
        if place < len(cell.resembles):
            known = cell.resembles[place]
            yield from (known.name, _or_empty(known.distance))
            yield from (known.likeness, _or_empty(known.p_same))
        else:
            yield from ("", "", "", "")


def _or_empty(value: float | None) -> object:
    return "" if value is None else value


def odd_sentence(images: Sequence[TriagedImage]) -> str:
    """Return how many cells are odd in how many images, in words."""
    odd = sum(len(image.triage.odd) for image in images)
    total = sum(image.triage.cells for image in images)
    if not odd:
        return f"None of {total:,} cells is odd."
    where = sum(bool(image.triage.odd) for image in images)
    of_all = "1 image" if len(images) == 1 else f"{len(images):,} images"
    cells = "1 cell is" if odd == 1 else f"{odd:,} cells are"
    return f"{cells} odd, of {total:,}, in {where:,} of {of_all}."


def odd_in_words(images: Sequence[TriagedImage]) -> str:
    """Return when a cell is called odd, in words."""
    if all(image.triage.can_tell for image in images):
        return (
            "The classifier finds the cell farther from every annotated kind than nineteen in "
            "twenty annotated cells are, each asked without itself. Where that holds of more than "
            "a quarter of the cells of an image, only the clear ones and the oddest tenth are "
            "listed, and the others counted without a class. A few cells of the known kinds are "
            "listed too, and a new kind that looks like a known one may be missed."
        )
    return (
        "The model has learned from too few cells to call any odd. Annotate at least eight cells, "
        "two of each kind, save the model again, and run this again."
    )


def likeness_in_words(likeness: Likeness | None) -> str:
    """Return on what the likeness rests, and what it is not good for, in words."""
    if likeness is None:
        return "The model keeps no annotated cells, so no distance is known."
    text = f"It rests on {likeness.learned_from}"
    if not likeness.kinds_left_out:
        text += (
            " With fewer than four annotated kinds it overrates how alike cells of other kinds "
            "are, so only the distance is given: go by the pictures."
        )
    return text
