"""Two views of each crop, that must be recognised as the same cell. Imports torch and lightly."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.selfsupervised.job import MISSING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Views:
    """Pairs of views by lightly's SimCLR transform (Chen et al. 2020, arXiv 2002.05709).

    Milder than for photographs, where 8 % of a picture still shows what it is: at least 40 % of
    the crop, no grey pictures and little hue, because the stain's colour tells the classes.

    Parameters
    ----------
    size
        Side of the views.
    mean, std
        Of the encoder's pictures in 0 to 1.
    """

    def __init__(self, size: int, mean: Sequence[float], std: Sequence[float]) -> None:
        self._view = _lightly("transforms").SimCLRTransform(
            input_size=size,
            cj_prob=0.8,
            cj_strength=0.5,
            cj_hue=0.1,
            min_scale=0.4,
            random_gray_scale=0.0,
            gaussian_blur=0.3,
            sigmas=(0.1, 1.5),
            hf_prob=0.5,
            vf_prob=0.5,
            rr_prob=0.5,
            normalize={"mean": list(mean), "std": list(std)},
        )

    def pair(self, crops: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return two ``(n, 3, size, size)`` normalised views of ``(n, side, side, 3)`` crops."""
        made = [self._view(Image.fromarray(crop)) for crop in crops]
        first, second = zip(*made, strict=True)
        return torch.stack(first), torch.stack(second)


def ntxent(temperature: float) -> Any:
    """Return SimCLR's loss, lightly's."""
    return _lightly("loss").NTXentLoss(temperature=temperature)


def seed_step(seed: int, step: int) -> None:
    """Begin the random numbers of a step, so that a training that goes on draws the same views."""
    mixed = int(np.random.SeedSequence([seed, step]).generate_state(1)[0])
    torch.manual_seed(mixed)
    random.seed(mixed)
    np.random.seed(mixed)  # noqa: NPY002  # lightly's blur draws from it


def _lightly(part: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"lightly.{part}")
    except ImportError as error:
        raise TrainingError(MISSING) from error
