"""The thread that embeds goes behind the window's."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from napari_hemacells.core.encode.embed import BEHIND, yield_to_others


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own there")
def test_only_the_thread_itself_goes_behind():
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = priority()
    with ThreadPoolExecutor(1, initializer=yield_to_others) as pool:
        behind = pool.submit(priority).result()
    assert behind == min(before + BEHIND, 19)
    assert priority() == before
