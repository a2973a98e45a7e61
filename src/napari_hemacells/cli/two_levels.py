"""Options and tables of commands for classes within kinds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_hemacells.core.annotate import Palette
    from napari_hemacells.core.annotate.class_table import ListedClass

TwoLevels = Annotated[
    bool,
    typer.Option(
        "--two-levels",
        help=(
            "The folders in a class folder are classes within it: lymphocyte/healthy, "
            "lymphocyte/abnormal. Pictures beside them have the kind alone."
        ),
    ),
]
ParentsTable = Annotated[
    Path | None,
    typer.Option(
        "--parents",
        metavar="FILE",
        help=(
            "A table (CSV) of classes with the columns class and parent, the kind that each is "
            "within; colour and key if wanted."
        ),
    ),
]


def read_parents(table: Path | None, *, two_levels: bool) -> "Sequence[ListedClass]":
    """Return the rows of the table of classes; none without one.

    Raises
    ------
    typer.BadParameter
        Both options were given.
    AnnotationError
        The table cannot be used.
    """
    from napari_hemacells.core.annotate.class_table import read_class_table

    if table is None:
        return ()
    if two_levels:
        raise typer.BadParameter(
            "--parents and --two-levels both say which class is within which: leave one out."
        )
    return read_class_table(table)


def describe_kinds(palette: "Palette", counts: "Mapping[str, int]") -> dict[str, Any]:
    """Return the pictures of each kind as JSON; empty where no class is within another.

    Parameters
    ----------
    counts
        Pictures of each class, by its short or its full name.
    """
    if not palette.parents:
        return {}
    kinds: dict[str, int] = {}
    for name, count in counts.items():
        cell_class = palette.by_name(name)
        if cell_class is not None:
            kind = palette.kind_of(cell_class.id).name
            kinds[kind] = kinds.get(kind, 0) + count
    return {"kinds": kinds}


def shot_levels_table(report: dict[str, Any]) -> Table:
    """Return how well the kind is told, and the class within it, with so many shots."""
    table = Table(
        title="Kind, and class within it (balanced accuracy)",
        caption="Within: among the classes of the true kind. In brackets the middle 95 % of the "
        f"{report['repeats']} draws.",
    )
    for heading in ("shots", "kind", "within"):
        table.add_column(heading, justify="right")
    for shots, row in report["shots"].items():
        cells = (
            f"{of['balanced_accuracy']:.3f} ({of['ci95'][0]:.3f} to {of['ci95'][1]:.3f})"
            for of in (row["levels"][name] for name in ("kind", "within"))
        )
        table.add_row(shots, *cells)
    return table
