"""Counts of what was found, as numbers and in words."""

from collections import Counter
from collections.abc import Iterable


def count(values: Iterable[object]) -> dict[str, int]:
    """Return how often each value occurs, most frequent first."""
    return dict(Counter(map(str, values)).most_common())


def in_words(counts: dict[str, int]) -> str:
    """Return the counts as ``RBC 120, WBC 3``; ``none`` where there are none."""
    return ", ".join(f"{name or 'without class'} {n}" for name, n in counts.items()) or "none"
