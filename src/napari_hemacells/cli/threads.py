"""One thread of arithmetic a process: the same digits however many processes there are."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the block with one thread for the network and for linear algebra.

    Sums of floats depend on how they are split among threads: the learned detector's scores and
    centres differ by up to 2e-5 between one thread and two. Work is shared out to processes
    instead.
    """
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")  # a job without a network must not pay for its import
    before = torch.get_num_threads() if torch else 1
    with threadpool_limits(1):
        one_torch_thread()
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


def one_torch_thread() -> None:
    """Let the network use one thread when it is called from this thread."""
    torch = sys.modules.get("torch")
    if torch:
        torch.set_num_threads(1)
