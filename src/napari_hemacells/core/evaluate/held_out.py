"""Which files of public sets no bundled model has learned from: one rule for all who need it."""

from __future__ import annotations

CHULA_BLOCK, CHULA_EVERY, CHULA_PLACE = 20, 5, 2


def is_held_out_chula(number: int) -> bool:
    """Whether a file number of Chula RBC-12 is held out: 40 to 59, 140 to 159, 240 to 259.

    Blocks, because consecutive numbers show one smear.

    Examples
    --------
    >>> [is_held_out_chula(number) for number in (39, 40, 159, 160)]
    [False, True, True, False]
    """
    return number // CHULA_BLOCK % CHULA_EVERY == CHULA_PLACE
