"""Loads PyTorch beside a window that draws with OpenGL, and limits small jobs to one core."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
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
        open_torch_libraries()
        if not sys.platform.startswith("linux") or _NAME in sys.modules:
            yield
            return
        sys.modules[_NAME] = None  # type: ignore[assignment]  # an import of it fails cleanly
        try:
            yield
        finally:
            del sys.modules[_NAME]


# Never libtorch_python.so: what it does as it is opened needs Python's lock.
_TORCH = ("libtorch_global_deps.so", "libc10.so", "libtorch_cpu.so", "libtorch.so")


def open_torch_libraries() -> bool:
    """Open PyTorch's libraries where it was not imported yet; return whether that was done.

    An import holds Python's lock while the system opens a library, in whatever thread that is: the
    window stands still. Opened here, without the lock, they are there when PyTorch is imported
    (longest stall of a window on a busy computer 2.9 s, with this 0.6 s). Linux only.
    """
    if "torch" in sys.modules or not sys.platform.startswith("linux"):
        return False
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    open_library = ctypes.CDLL(None).dlopen  # a call through ctypes lets the lock go
    open_library.restype, open_library.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    for name in _TORCH:
        file = Path(spec.origin).parent / "lib" / name
        # As PyTorch itself opens them: what the others need for everyone, the rest for itself.
        scope = os.RTLD_GLOBAL if name == _TORCH[0] else os.RTLD_LOCAL
        if not file.is_file() or not open_library(os.fsencode(file), os.RTLD_NOW | scope):
            return False  # the import says what is wrong
    return True


def single_blas_thread() -> AbstractContextManager[object]:
    """Limit linear algebra to one core within a ``with`` block."""
    limit: AbstractContextManager[object] = _thread_pools().limit(limits=1, user_api="blas")
    return limit


@cache
def _thread_pools() -> ThreadpoolController:
    """The thread pools of the loaded libraries, looked up once."""
    return ThreadpoolController()
