"""How the annotated cells of a project would be split: known, and said, before a training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.train.classifier.crops import CropStore, Frame, Loaded
from napari_hemacells.core.train.classifier.examples import Example, Examples
from napari_hemacells.core.train.classifier.split import SplitRule, split_examples
from napari_hemacells.core.types import CropSpec

if TYPE_CHECKING:
    from napari_hemacells.core.train.classifier.gather import Lessons
    from napari_hemacells.core.train.classifier.recipe import Recipe


@dataclass(frozen=True)
class SplitPlan:
    """Whether whole patients, slides or images are held out, and that in a sentence."""

    grouped: bool
    words: str


def plan_split(lessons: Lessons, recipe: Recipe) -> SplitPlan:
    """Return how a training would check itself on these annotations.

    Groups are kept together wherever each class occurs in two of them; otherwise the class could
    be learned or checked, not both, and cells are drawn one by one.
    """
    against = why_ungrouped(lessons, recipe)
    if against:
        share = round(1 / recipe.validation)
        return SplitPlan(
            False,
            f"About one cell in {share} is held out, drawn cell by cell, because {against}: cells "
            "of the same slide teach and check, so the figures are a little too good.",
        )
    kind = next(iter(lessons.groups.values())).split("/", 1)[0]
    held = _held_out(lessons, recipe)
    groups = set(lessons.groups.values())
    cells = sum(len(said) for key, said in lessons.cells.items() if lessons.groups[key] in held)
    whole = f"{len(held)} of {len(groups)} {kind}s"
    return SplitPlan(
        True, f"Held out as a whole: {whole}, {cells:,} of {lessons.total:,} cells; they check."
    )


def why_ungrouped(lessons: Lessons, recipe: Recipe) -> str:
    """Return why groups cannot be kept together; empty where they can."""
    groups = set(lessons.groups.values())
    if recipe.ungrouped:
        return "groups are to be ignored"
    if len(groups) < 2:
        return "all are of one image" if len(lessons.groups) < 2 else "all are of one group"
    for name in lessons.counts:
        own = {lessons.groups[key] for key, said in lessons.cells.items() if name in said.values()}
        if len(own) < 2:
            return f"all “{name}” are of one {own.pop().split('/', 1)[0]}"
    return ""


def _held_out(lessons: Lessons, recipe: Recipe) -> set[str]:
    """Return the groups that would check, by the very rule that the training follows."""
    items = tuple(
        Example(Path(), name, lessons.groups[key])
        for key, said in lessons.cells.items()
        for name in said.values()
    )
    store = CropStore((), np.empty((0, 1, 1, 3), np.uint8), Frame(CropSpec(1), 1.0))
    loaded = Loaded(Examples(items, Path()), store, ("",) * len(items), ())
    rule = SplitRule(validation=recipe.validation, test=recipe.test, seed=recipe.seed)
    split = split_examples(loaded, rule)
    return {
        item.group
        for item, part in zip(items, split.parts, strict=True)
        if part in {"validation", "test"}
    }
