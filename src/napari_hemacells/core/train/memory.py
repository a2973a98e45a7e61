"""Too little memory: what encoders know of it, for the trainings."""

from __future__ import annotations

from napari_hemacells.core.encode.memory import free_gpu_memory, is_out_of_memory

__all__ = ["free_gpu_memory", "is_out_of_memory"]
