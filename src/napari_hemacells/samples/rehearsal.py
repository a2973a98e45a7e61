"""Synthetic smears that a detector rehearses on while it learns something new."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.detect.learned.kinds import KINDS
from napari_hemacells.core.train.detector.fields import Field, as_grey
from napari_hemacells.core.types import BOX_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SEEDS = range(1000, 1004)  # of those that the bundled detector was trained on
SHAPE = (600, 800)


def rehearsal_fields(
    seeds: Iterable[int] = SEEDS, shape: tuple[int, int] = SHAPE
) -> Iterator[Field]:
    """Yield fields of the synthetic smear, with exact boxes."""
    from napari_hemacells.samples import synthetic_smear

    for seed in seeds:
        smear = synthetic_smear(seed, shape)
        table = smear.table[smear.table["class"].isin(KINDS)]
        yield Field(
            name=f"synthetic/{seed}",
            pixels=smear.image,
            boxes=table[BOX_COLUMNS].to_numpy(np.float32),
            kinds=np.array([KINDS.index(name) for name in table["class"]], np.int64),
            sized=np.ones(len(table), bool),
            foreground=as_grey(smear.labels > 0),
            trust=np.full((*smear.labels.shape, len(KINDS)), 255, np.uint8),
            diameter=smear.diameter,
            key=f"synthetic-{seed}",
            group=f"synthetic/{seed}",
        )
