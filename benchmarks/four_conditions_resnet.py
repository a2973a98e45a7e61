"""The thesis' network for ``four_conditions.py``: a fine-tuned ResNet18, SimCLR optional."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 64  # pixels, of what it is given
EPOCHS, RATE, DECAY, BATCH = 60, 1e-3, 1e-2, 64


def network() -> Any:
    """Return a ResNet18 without its classifier."""
    import timm

    return timm.create_model("resnet18", num_classes=0)


def start_weights(file: Path | None) -> dict[str, Any]:
    """Return ResNet18's initial weights: from a file (ImageNet), or random with seed 0."""
    import torch

    from napari_hemacells.core.encode.weights_store import read_tensors

    torch.manual_seed(0)
    own: dict[str, Any] = network().state_dict()
    if file is None:
        return own
    stored = read_tensors(file)
    return {name: stored[name] for name in own}


def after_simclr(crops: np.ndarray, start: Any, steps: int, seed: int) -> dict[str, Any]:
    """Return the weights after SimCLR on these crops; all layers are trained."""
    from napari_hemacells.core.encode.builtin import MEAN, STD
    from napari_hemacells.core.train.selfsupervised.simclr import (
        SimCLRLearner,
        SimCLRViews,
        seed_step,
    )

    model = network()
    model.load_state_dict(start)
    names = [name for name, _ in model.named_parameters()]
    options = {"steps": steps, "rate": RATE, "temperature": 0.2}
    learner = SimCLRLearner(model, names, model.num_features, own_statistics=True, **options)
    views, random = SimCLRViews(SIDE, MEAN, STD), np.random.default_rng(seed)
    for step in range(steps):
        seed_step(seed, step)
        batch = random.choice(len(crops), min(BATCH, len(crops)), replace=False)
        learner.learn(*views.pair(crops[batch]))
    return dict(model.state_dict())


def fine_tuned(
    start: Any, lesson: tuple[np.ndarray, np.ndarray], asked: np.ndarray, seed: int
) -> np.ndarray:
    """Return the predictions, 0 or 1, of a ResNet18 after fine-tuning all layers.

    Parameters
    ----------
    lesson
        The training crops, and their classes.
    """
    import torch
    from torch.nn import functional as nnf

    torch.manual_seed(seed)
    body = network()
    body.load_state_dict(start)
    model = torch.nn.Sequential(body, torch.nn.Linear(body.num_features, 2))
    pictures, answers = tensor_of(lesson[0]), torch.from_numpy(lesson[1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    model.train()
    for _ in range(EPOCHS):
        loss = nnf.cross_entropy(model(turned(pictures)), answers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        plan.step()
    model.eval()
    with torch.inference_mode():
        told = model(tensor_of(asked)).argmax(1).numpy()
    return np.asarray(told)


def tensor_of(crops: np.ndarray) -> Any:
    """``(n, 3, SIDE, SIDE)``, -1 to 1."""
    import torch
    from torch.nn import functional as nnf

    pictures = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1
    return nnf.interpolate(pictures, size=(SIDE, SIDE), mode="bilinear", antialias=True)


def turned(pictures: Any) -> Any:
    """Return the images, each randomly rotated, mirrored, and a little brighter or darker."""
    import torch

    views = [
        torch.rot90(one.flip(2) if flip else one, int(turn), (1, 2)) * bright
        for one, turn, flip, bright in zip(
            pictures,
            torch.randint(4, (len(pictures),)),
            torch.randint(2, (len(pictures),)),
            0.9 + 0.2 * torch.rand(len(pictures)),
            strict=True,
        )
    ]
    return torch.stack(views)
