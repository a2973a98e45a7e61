"""One core for the small jobs in threads: they take hundredths of a second, another core draws."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from threadpoolctl import ThreadpoolController

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def one_thread() -> AbstractContextManager[object]:
    """Let linear algebra use one core within a ``with`` block."""
    limit: AbstractContextManager[object] = _pools().limit(limits=1, user_api="blas")
    return limit


@cache
def _pools() -> ThreadpoolController:
    """The thread pools of the libraries loaded, looked up once."""
    return ThreadpoolController()
