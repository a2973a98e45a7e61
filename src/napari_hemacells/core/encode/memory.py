"""Too little memory: recognising it, and giving back what is cached, so that less finds room."""

from __future__ import annotations

SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory", "bad allocation")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory, the GPU's or the computer's, is full.

    Examples
    --------
    >>> is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    True
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    told = str(error).casefold()
    return isinstance(error, RuntimeError) and any(sign in told for sign in SIGNS)


def free_gpu_memory() -> None:
    """Give the GPU what is cached and no longer used, so that a smaller batch finds room."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
