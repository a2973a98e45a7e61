"""Keeping torch's compiler out of a process that draws with OpenGL."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = "triton"
_LOCK = Lock()  # two threads may load a network at once


@contextmanager
def triton_kept_out() -> Iterator[None]:
    """Let torch and torchvision be imported as if triton were not installed.

    torchvision imports ``torch._dynamo``, which imports triton where it finds it. triton brings
    an LLVM of its own, and so does Mesa's OpenGL driver, which napari has loaded by then: on
    Linux the second one to come ends the process with a segmentation fault. Detecting and
    embedding need no compiler, and torch remembers that it found none.
    """
    with _LOCK:
        if not sys.platform.startswith("linux") or _NAME in sys.modules:
            yield
            return
        sys.modules[_NAME] = None  # type: ignore[assignment]  # an import of it fails cleanly
        try:
            yield
        finally:
            del sys.modules[_NAME]
