"""What a split keeps together with each picture: its group, its copies, or itself alone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from napari_hemacells.core.temperature.dmr_ir import original_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.core.train.classifier.dataset import Example


def split_units(
    items: Sequence[Example], digests: Sequence[str], *, ungrouped: bool = False
) -> tuple[str, ...]:
    """Return the unit of each picture; pictures of one unit are on one side of every split.

    A picture whose group is known belongs to that group. One without a group belongs to the group
    of a copy of it (the same content, or a name such as ``a (1).png`` beside ``a.png``), and is
    else a unit of its own, together with its copies.

    Parameters
    ----------
    digests
        Identity of each picture's content.
    ungrouped
        Whether groups are to be ignored.

    Examples
    --------
    >>> from pathlib import Path
    >>> from napari_hemacells.core.train.classifier.dataset import Example
    >>> a, b = (Example(Path(name), "x", group, name) for name, group in (("a", "p1"), ("b", "")))
    >>> split_units([a, b, b], ["1", "2", "1"])
    ('group/p1', 'crop/2', 'group/p1')
    """
    own = [
        f"group/{item.group}" if item.group and not ungrouped else f"crop/{digest}"
        for item, digest in zip(items, digests, strict=True)
    ]
    unit_of_name = {item.name: unit for item, unit in zip(items, own, strict=True) if item.name}
    unit_of_content = {
        digest: unit
        for digest, unit in zip(digests, own, strict=True)
        if digest and unit.startswith("group/")
    }
    units = []
    for item, digest, unit in zip(items, digests, own, strict=True):
        if unit.startswith("group/"):
            units.append(unit)
            continue
        folder, slash, name = item.name.rpartition("/")
        copied = unit_of_name.get(f"{folder}{slash}{original_name(name)}", unit)
        units.append(unit_of_content.get(digest, copied))
    return tuple(units)


def without_group(items: Sequence[Example], units: Sequence[str]) -> int:
    """Return how many pictures have neither a group nor a copy that has one."""
    return Counter(unit.startswith("group/") for _, unit in zip(items, units, strict=True))[False]
