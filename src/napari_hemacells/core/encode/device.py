"""Choice of the torch device and precision, and recognition of out-of-memory errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from napari_hemacells.core.errors import EncoderError

if TYPE_CHECKING:
    from napari_hemacells.core.params import DeviceName

Precision: TypeAlias = Literal["float32", "bfloat16"]


class Device(NamedTuple):
    """A torch device and the reason for it, in one sentence."""

    name: str
    reason: str


def choose_device(name: DeviceName = "auto") -> Device:
    """Return the device: the requested one, else a GPU if there is one, else the CPU.

    Raises
    ------
    EncoderError
        If a GPU was requested and cannot be used.
    """
    if name == "cpu":
        return Device("cpu", "The CPU was chosen.")
    obstacles = {"cuda": _cuda_obstacle(), "mps": _mps_obstacle()}
    if name in obstacles:
        if obstacles[name]:
            raise EncoderError(f"The device {name} cannot be used: {obstacles[name]}")
        return Device(name, f"{name} was chosen.")
    for gpu, obstacle in obstacles.items():
        if not obstacle:
            return Device(gpu, f"A GPU was found ({gpu}).")
    return Device("cpu", f"No GPU is used: {obstacles['cuda']}")


def precision_on(device: str) -> Precision:
    """Return the precision in which large networks run on a device.

    bfloat16 where the chip multiplies in it, which halves the time: NVIDIA from Ampere on, and
    processors with AVX-512 BF16 or AMX. Elsewhere it is emulated, and slower than float32.
    """
    import torch

    if device == "cuda":
        pays = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device == "cpu":
        able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        pays = bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    else:
        pays = False
    return "bfloat16" if pays else "float32"


def _cuda_obstacle() -> str:
    """Why CUDA cannot be used; empty if it can."""
    import torch

    if torch.cuda.is_available():
        return ""
    if torch.version.cuda is None and torch.version.hip is None:
        return "this build of PyTorch does not support NVIDIA GPUs."
    return "PyTorch finds no NVIDIA GPU with a working driver on this computer."


def _mps_obstacle() -> str:
    """Why Apple's GPU cannot be used; empty if it can."""
    import torch

    if torch.backends.mps.is_available():
        return ""
    return "PyTorch finds no Apple GPU on this computer."


OUT_OF_MEMORY_MESSAGES = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "bad allocation",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the memory of the GPU or computer is full.

    Examples
    --------
    >>> is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    True
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    message = str(error).casefold()
    return isinstance(error, RuntimeError) and any(
        sign in message for sign in OUT_OF_MEMORY_MESSAGES
    )


def free_gpu_memory() -> None:
    """Release cached GPU memory, so that a smaller batch fits."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
