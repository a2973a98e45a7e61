"""Keeps triton out of a process that draws with OpenGL, and limits small jobs to one core."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from threadpoolctl import ThreadpoolController

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

_NAME = "triton"
_LOCK = Lock()  # two threads may load a network at once


@contextmanager
def without_triton() -> Iterator[None]:
    """Make torch and torchvision import as if triton were not installed.

    torchvision imports ``torch._dynamo``, which imports triton if it is installed. triton has an
    LLVM of its own, and so does Mesa's OpenGL driver, which napari has loaded by then: on Linux
    the second one ends the process with a segmentation fault. Detecting and embedding need no
    compiler, and torch remembers that it found none.
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


def single_blas_thread() -> AbstractContextManager[object]:
    """Limit linear algebra to one core within a ``with`` block."""
    limit: AbstractContextManager[object] = _thread_pools().limit(limits=1, user_api="blas")
    return limit


@cache
def _thread_pools() -> ThreadpoolController:
    """The thread pools of the loaded libraries, looked up once."""
    return ThreadpoolController()
