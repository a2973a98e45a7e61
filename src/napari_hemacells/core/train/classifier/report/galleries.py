"""Crops that a reader should look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.train.classifier.report.page import Gallery, Shot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_hemacells.core.train.classifier.findings import Findings, Item, Suspect
    from napari_hemacells.core.train.classifier.report.pictures import Crops

SHOWN, HEATED, SUSPECTED = 14, 12, 28
NOTHING = "There are none."


def galleries(found: Findings, crops: Crops, heat: Mapping[str, str], why: str) -> list[Gallery]:
    """Return the crops that taught most about the network.

    Parameters
    ----------
    heat
        ``data:`` addresses of heat maps by name of the picture.
    why
        Why there is no heat map, if there is none.
    """
    looked = why or (
        "Beside each, where the network looked for the class it named (Grad-CAM): yellow spoke "
        "most for it."
    )
    kinds: tuple[tuple[str, str, Sequence[Item], Mapping[str, str]], ...] = (
        ("Highest losses", looked, found.highest_losses(HEATED), heat),
        ("Most certain and wrong", "", found.most_certain(right=False, n=SHOWN), {}),
        ("Most certain and right", "", found.most_certain(right=True, n=SHOWN), {}),
        (
            "Most uncertain",
            "The two likeliest classes are closest to each other.",
            found.most_uncertain(SHOWN),
            {},
        ),
    )
    return [
        Gallery(title, note if items else NOTHING, _shots(items, crops, maps))
        for title, note, items, maps in kinds
    ]


def suspects(listed: Sequence[Suspect], crops: Crops, note: str) -> Gallery:
    """Return the labels that may be wrong: those that are flagged, the worst first."""
    flagged = [one for one in listed if one.flagged]
    shots = tuple(
        Shot(
            uri=crops.uri(one.path),
            name=short(one.name),
            given=one.label,
            said=f"{one.suggested}?",
            figure=f"{one.confidence:.2f}",
            wrong=True,
        )
        for one in flagged[:SUSPECTED]
    )
    return Gallery("Labels that may be wrong", note, shots)


def short(name: str) -> str:
    """Return the file without the folders that led to it."""
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _shots(items: Sequence[Item], crops: Crops, heat: Mapping[str, str]) -> tuple[Shot, ...]:
    return tuple(
        Shot(
            uri=crops.uri(one.path),
            name=short(one.name),
            given=one.label,
            said=one.predicted,
            figure=f"{one.confidence:.2f}",
            heat=heat.get(one.name, ""),
            wrong=not one.right,
        )
        for one in items
    )
