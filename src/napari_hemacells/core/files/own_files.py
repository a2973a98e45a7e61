"""Which files of a folder nobody meant as input: our own results, what systems leave behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RESULT_ENDINGS = (
    ".cells.csv", ".counts.csv", ".labels.tif", ".overlay.png", ".report.html", ".coco.json",
)  # fmt: skip
RESULT_NAMES = frozenset(
    {
        "cells.csv",
        "cells.xlsx",
        "counts.csv",
        "overlay.png",
        "regions.csv",
        "examples.csv",
        "left_out.csv",
    }
)
SYSTEM_NAMES = frozenset({"thumbs.db", "desktop.ini", "__macosx", "$recycle.bin"})


def is_hidden(path: Path) -> bool:
    """Whether a system or another program put the file there, not a person.

    Examples
    --------
    >>> is_hidden(Path("a/._field.png")), is_hidden(Path("Thumbs.db")), is_hidden(Path("a.png"))
    (True, True, False)
    """
    return path.name.startswith(".") or path.name.casefold() in SYSTEM_NAMES


def is_own_result(path: Path) -> bool:
    """Whether a file bears the name of a result that this program writes."""
    name = path.name.casefold()
    return name in RESULT_NAMES or name.endswith(RESULT_ENDINGS)


def without_clutter(paths: Iterable[Path]) -> list[Path]:
    """Return the paths of a folder that somebody may have meant as input, sorted."""
    return sorted(path for path in paths if not is_hidden(path) and not is_own_result(path))
