"""The report of a training: one page of HTML that refers to no other file and to no network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_hemacells import __version__
from napari_hemacells.core.files.fsio import write_bytes

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class ReportTable:
    """Rows of words and numbers under headings; the last row may be a sum."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    sums: bool = False


@dataclass(frozen=True)
class TrainingPage:
    """What a training's report says; every kind of training fills the same frame.

    Attributes
    ----------
    facts
        A few large figures with a word for each, for the head of the page.
    curves
        An ``<svg>`` element.
    tables
        In the order they are shown.
    pictures
        ``data:`` addresses with captions.
    provenance
        What the run depends on: name and value.
    command
        What to type to repeat it.
    cautions
        What the figures are not.
    """

    title: str
    kind: str
    created: str
    facts: tuple[tuple[str, str], ...]
    curves: str
    tables: tuple[ReportTable, ...]
    provenance: tuple[tuple[str, str], ...]
    command: str
    cautions: tuple[str, ...]
    notes: tuple[str, ...] = ()
    pictures: tuple[tuple[str, str], ...] = field(default=())


def write_page(path: Path, page: TrainingPage) -> None:
    """Write the page, whole or not at all; raises :class:`StorageError`."""
    write_bytes(path, render(page).encode())


def render(page: object, template: str = "training.html") -> str:
    """Return the page as HTML text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("napari_hemacells.core.train"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(page=page, version=__version__)
