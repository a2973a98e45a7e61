"""Train an encoder on five laboratories, in about an hour on one CPU core.

::

    OMP_NUM_THREADS=1 python training/train_encoder.py --data ../shared/data --out build/encoder

The same command continues a stopped run from its last checkpoint. Cells, their augmented views
after the frozen first stages and ImageNet's vectors are made first and kept in ``--kept``, where
other runs find them. The last step writes ``encoder.safetensors`` (half precision), with
everything needed to use it in the header.

The bundled weights come from an earlier form of this training; its model card says which, and what
this one reached.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from encoder_cells import FINE, GROUPS, SOURCES, CellSet, kept_cells
from encoder_file import begin_with, mix_with, write
from encoder_lesson import FROZEN, Labels, Loss, Pupil
from encoder_views import LOOKS, kept_looks, kept_views
from napari_hemacells.core.encode import choose_device

if TYPE_CHECKING:
    from torch import Tensor

KEEP = 0.99  # of the running mean of the weights, which is what is kept
TOWARDS_START = 5e-4  # a step's pull towards ImageNet's weights, times the schedule (L2-SP)
CHECKPOINT_EVERY = 100


def main() -> None:
    """Train, and save the weights."""
    options = read_options()
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.kept or options.out
    kept.mkdir(parents=True, exist_ok=True)
    every = kept_cells(options.data, kept / "cells.npz")
    run = Run(every, kept, options)
    run.resume()
    while run.step < options.steps:
        run.advance()
    run.save()
    if options.mix:
        mix_with(run.average.module, options.start, options.mix)
    print(write(run.average.module, every.chosen(options.sources, options.without), options))


def read_options() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the datasets")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for checkpoint and weights"
    )
    parser.add_argument("--kept", type=Path, help="folder of cut cells and views, to share")
    parser.add_argument("--views", type=int, default=16_000, help="augmented views of all cells")
    parser.add_argument(
        "--start", type=Path, help="an encoder to go on from; by default ImageNet's weights"
    )
    parser.add_argument(
        "--mix", type=float, default=0.0, help="share of the start in the weights written"
    )
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=96, help="side length of a crop")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument(
        "--contrast", type=float, default=0.5, help="weight of the contrastive loss"
    )
    parser.add_argument(
        "--attributes", type=float, default=0.5, help="weight of the eleven attributes"
    )
    parser.add_argument(
        "--looks", type=float, default=1.0, help="weight of the guess at ImageNet's vector"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument(
        "--without",
        nargs="*",
        default=[],
        choices=[*GROUPS, *FINE],
        metavar="CLASS",
        help="classes and sub-classes to leave out, such as MMY",
    )
    parser.add_argument(
        "--statistics",
        choices=("frozen", "trained"),
        default="trained",
        help="batch-norm statistics",
    )
    options = parser.parse_args()
    if options.mix and not options.start:
        parser.error("--mix needs --start")
    return options


class Run:
    """Network, optimiser and EMA of the weights, with a checkpoint on disk."""

    def __init__(self, cells: CellSet, kept: Path, options: argparse.Namespace) -> None:
        self._looks = torch.zeros(len(cells), LOOKS)
        if options.looks:
            self._looks = kept_looks(cells, kept / "looks.npy")
        torch.manual_seed(options.seed)
        self.device = torch.device(choose_device("auto").name)
        self._cells, self._options = cells, options
        self._file = options.out / "checkpoint.pt"
        self.pupil = Pupil(self._looks.shape[1])
        if options.start:
            begin_with(self.pupil, options.start)
        self._views = kept_views(self.pupil, cells, kept, size=options.size, count=options.views)
        wanted = np.flatnonzero(cells.wanted(options.sources, options.without))
        self._rows = np.flatnonzero(np.isin(self._views.cells, wanted))
        print(f"{len(wanted)} cells, {len(self._rows)} views", flush=True)
        self.pupil.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AveragedModel(
            self.pupil, multi_avg_fn=get_ema_multi_avg_fn(KEEP), use_buffers=True
        )
        self._loss = Loss(options.contrast, options.attributes, options.looks)
        self._groups = _groups(self.pupil, options.rate)
        self._start = [one.detach().clone() for one in self._groups[0]["params"]]
        self._optimiser = torch.optim.AdamW(self._groups, weight_decay=0.02)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, self._factor)
        self.step, self._shown, self._begun = 0, 0.0, time.monotonic()

    def _factor(self, step: int) -> float:
        warm = min(1.0, (step + 1) / 60)
        return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / self._options.steps)))

    def advance(self) -> None:
        """Do one step; print and save at intervals."""
        torch.manual_seed(self._options.seed * 1_000_003 + self.step)
        maps, labels, looks = self._batch()
        self._training_mode()
        loss = self._loss(self.pupil(maps), labels, looks)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.pupil.parameters(), 5.0)
        self._optimiser.step()
        self._pull_back()
        self._schedule.step()
        self.average.update_parameters(self.pupil)
        self.step += 1
        self._tell(loss.item())
        if self.step % CHECKPOINT_EVERY == 0:
            self.save()

    def _batch(self) -> tuple[Tensor, Labels, Tensor]:
        """Return maps of views, labels and ImageNet's vectors of the next step.

        The views are gone through in another order each time.
        """
        size = self._options.batch
        whole = len(self._rows) // size
        turn, place = divmod(self.step, whole)
        order = np.random.default_rng([self._options.seed, turn]).permutation(len(self._rows))
        rows = np.sort(self._rows[order[place * size : (place + 1) * size]])
        cells, chosen = self._cells, self._views.cells[rows]
        maps = self._views.maps(rows).to(self.device)
        labels = Labels(
            *(
                torch.from_numpy(getattr(cells, name)[chosen]).to(self.device)
                for name in Labels._fields
            )
        )
        looks = self._looks[torch.from_numpy(chosen)].to(self.device)
        return maps.contiguous(memory_format=torch.channels_last), labels, looks

    def _training_mode(self) -> None:
        """Set training mode, with ImageNet's batch statistics unless new ones are requested."""
        self.pupil.train()
        self.pupil.features.stem.eval()
        kept = len(self.pupil.features.blocks) if self._options.statistics == "frozen" else FROZEN
        self.pupil.features.blocks[:kept].eval()

    @torch.no_grad()
    def _pull_back(self) -> None:
        """Pull the weights slightly towards ImageNet's (L2-SP, Li et al. 2018)."""
        pull = TOWARDS_START * self._schedule.get_last_lr()[0] / self._options.rate
        for parameter, start in zip(self._groups[0]["params"], self._start, strict=True):
            parameter.lerp_(start, pull)

    def _tell(self, loss: float) -> None:
        self._shown = 0.98 * self._shown + 0.02 * loss if self._shown else loss
        if self.step % 50 == 0:
            seconds = time.monotonic() - self._begun
            print(
                f"{self.step}/{self._options.steps}  loss {self._shown:.3f}  {seconds:.0f} s",
                flush=True,
            )

    def save(self) -> None:
        """Write the checkpoint to a new file, then replace the old one."""
        state: dict[str, Any] = {
            "step": self.step,
            "pupil": self.pupil.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
        }
        fresh = self._file.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self._file)

    def resume(self) -> None:
        """Continue from the checkpoint if there is one."""
        if not self._file.exists():
            return
        state = torch.load(self._file, weights_only=True, map_location=self.device)
        self.step = state["step"]
        self.pupil.load_state_dict(state["pupil"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])


def _groups(pupil: Pupil, rate: float) -> list[dict[str, Any]]:
    """Return parameter groups: ImageNet's layers at a lower rate, the first filters frozen."""
    pupil.features.stem.requires_grad_(requires_grad=False)
    pupil.features.blocks[:FROZEN].requires_grad_(requires_grad=False)
    old = list(pupil.features.blocks[FROZEN:].parameters())
    new = [
        parameter
        for part in (pupil.embed, pupil.looks, *pupil.heads())
        for parameter in part.parameters()
    ]
    return [{"params": old, "lr": 0.5 * rate, "weight_decay": 0.0}, {"params": new, "lr": rate}]


if __name__ == "__main__":
    main()
