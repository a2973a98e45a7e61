"""Memory that a process frees and soon wants again is kept, where the C library can be told so."""

from __future__ import annotations

import ctypes
import sys

KEPT_BYTES = 2**30  # bytes; a network's activations for one part of an image are some 100 MB each
# Of mallopt(3). Threads share one arena: those of their own cannot hold blocks that large.
SETTINGS = {-1: KEPT_BYTES, -3: KEPT_BYTES, -8: 1}  # trim threshold, mmap threshold, most arenas


def keep_freed_memory() -> bool:
    """Return whether this process now keeps up to a gigabyte of freed memory for itself.

    glibc gives large blocks back to the system at once, and the system fills each new one with
    zeros: a third of the time of a network on a CPU (a smear of 7.3 megapixels: 5.6 s, with this
    3.9 s; 1.2 million page faults, with this 0.3 million; the same peak). For processes of our
    own only, not for one that a viewer shares with others.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return all(mallopt(which, value) == 1 for which, value in SETTINGS.items())
