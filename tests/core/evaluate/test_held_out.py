"""Which files no bundled model has learned from."""

from __future__ import annotations

from napari_hemacells.core.evaluate.held_out import is_held_out_chula


def test_whole_blocks_of_chula_are_held_out() -> None:
    held = [number for number in range(1, 261) if is_held_out_chula(number)]
    assert held == [*range(40, 60), *range(140, 160), *range(240, 260)]
