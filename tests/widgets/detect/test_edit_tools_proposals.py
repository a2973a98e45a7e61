"""Proposals for cells that the detector missed, made as the thread makes them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_hemacells.core.detect import proposal
from napari_hemacells.core.detect.proposal import Proposal, mask_in_window
from napari_hemacells.widgets.detect.edit_tools import format_added_cell, proposal_steps


def test_the_real_proposal_is_asked_with_the_projects_detector(session):
    """The steps that the thread runs, to their end, where no network is needed."""
    warm = replace(session.image, modality="temperature")
    steps = proposal_steps(warm, session.cells, (40.0, 40.0), None)
    next(steps)
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value.method == "disc"
    assert proposal.cell_at(session.cells, (2.0, 2.0)) == 1


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("network", "added: WBC"),
        ("stain", "the outline of the stained area"),
        ("disc", "added as a disc"),
    ],
)
def test_one_is_told_how_sure_an_added_cell_is(how, said):
    mask = mask_in_window(np.ones((5, 5), bool), (slice(0, 5), slice(0, 5)))
    words = format_added_cell(31, Proposal("WBC", 0.5, mask.box, mask, how))
    assert words.startswith("Cell 31 added")
    assert said in words
    assert words.endswith("Ctrl+Z to undo.")
