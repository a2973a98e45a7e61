"""Freed memory is kept by a process of our own."""

from __future__ import annotations

import subprocess
import sys

import pytest

TWICE = """
import resource, sys
import numpy as np
from napari_hemacells.core.malloc import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
np.ones(2**24)  # 128 MiB, freed at once
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    np.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Page faults of making the same large array again."""
    command = [sys.executable, "-c", TWICE, how]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_a_large_block_is_not_taken_from_the_system_again():
    assert faults("kept") < faults("as usual") / 10
