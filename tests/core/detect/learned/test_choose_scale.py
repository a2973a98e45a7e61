"""Which size of cells fits a picture, and when two do."""

from __future__ import annotations

import pytest

from napari_hemacells.core.detect.learned.diameter import choose_scale


@pytest.mark.parametrize(
    ("scores", "chosen", "others"),
    [
        # a field of red cells: the next scale fits too, but it is no other size
        ([75, 380, 3942, 2493, 73, 45], 2, []),
        # parts of one large cell look like many small cells: the large one is taken
        ([414, 1461, 319, 713, 1345, 23], 4, [1]),
        ([252, 14, 1032, 88, 1029, 151], 4, [2]),
        # the small ones fit much better: the large are offered at most
        ([10, 2000, 50, 1100, 20, 0], 1, [3]),
        ([10, 2000, 50, 900, 20, 0], 1, []),
        ([0, 0, 0], None, []),
        ([], None, []),
    ],
)
def test_the_larger_of_two_sizes_that_fit_alike(scores, chosen, others):
    assert choose_scale(scores) == (chosen, others)
