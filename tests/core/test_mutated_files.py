"""The command that counts what escapes: it finds what is broken, and nothing here is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is measured on Linux"),
]

BROKEN = """
import sys
sys.path.insert(0, sys.argv[1])
import mutated_files as command
from file_kinds import Kind
from mutations import change_bytes
from napari_hemacells.core.errors import ImageError

def read(folder):
    data = (folder / "a").read_bytes()
    kind = int(bool(data[1:2] != b"b")) if data[:1] == b"a" else 2
    if data == b"abcd":
        return
    if kind == 0:
        raise ImageError("refused")
    if kind == 1:
        raise ValueError("escaped")
    bytes(bytearray(60_000_000))

kind = Kind("broken", lambda folder: (folder / "a").write_bytes(b"abcd"), read,
            (("a", change_bytes),))
command.MOST_MEMORY = 30_000_000
counted = command.run(kind, 0, 200, None)
assert sum(counted.values()) == 200, counted
assert min(counted[name] for name in ("refused", "escaped", "above 1 GB")) > 5, counted
"""


def test_escapes_and_large_allocations_are_counted():
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, str(BENCHMARKS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_nothing_escapes():
    command = [sys.executable, str(BENCHMARKS / "mutated_files.py"), "--count", "1500"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| **all** | 1,5" in done.stdout
