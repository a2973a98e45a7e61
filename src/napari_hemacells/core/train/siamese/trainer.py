"""One siamese training from its first to its last step; the loop is the Trainer's. Imports torch.

It learns a distance from pairs, and then chooses the threshold on cells that were held out.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from napari_hemacells.core.annotate.state import utc_now
from napari_hemacells.core.classify.verification import (
    Likeness,
    auroc_of,
    fit_likeness,
    likeness_of_pairs,
    pair_distances,
)
from napari_hemacells.core.encode import load_encoder
from napari_hemacells.core.encode.network import NetworkEncoder
from napari_hemacells.core.encode.siamese_head import BODY, HEAD
from napari_hemacells.core.encode.siamese_header import SiameseHeader
from napari_hemacells.core.encode.siamese_network import (
    EncoderWithHead,
    SiameseHead,
    ThesisNetwork,
)
from napari_hemacells.core.encode.weights_store import file_sha256
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.files.fsio import atomic_path, write_bytes
from napari_hemacells.core.train.callbacks import CHECKPOINT, NEVER, EarlyStopping
from napari_hemacells.core.train.learning_curves import Curves
from napari_hemacells.core.train.progress import TrainingReport
from napari_hemacells.core.train.selfsupervised.simclr import (
    seed_step,
    trainable_copy,
    trainable_parameter_names,
)
from napari_hemacells.core.train.siamese.config import (
    LIKENESS,
    REPORT,
    WEIGHTS,
    SiameseJob,
    SiameseOutcome,
    threshold_rule,
)
from napari_hemacells.core.train.siamese.dataset import (
    SiameseTrainingSet,
    check_enough,
    held_out_rows,
    read_cells,
)
from napari_hemacells.core.train.siamese.losses import draw_pairs, make_loss
from napari_hemacells.core.train.siamese.report import render_report
from napari_hemacells.core.train.trainer import Trainer, Validation, descend, steps_to_validation

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from napari_hemacells.core.encode.protocol import Encoder
    from napari_hemacells.core.train.ema import ModelEma

VALIDATIONS = 5
BATCH = 64  # crops that are embedded at once
MOST_NAMED = 8  # kinds that a sentence names
INIT_SEED_STEP = 2**32 - 1
HELD_OUT_METRIC = "AUROC on held-out pairs"
BODY_RATE_FACTOR = 0.2  # the encoder's own layers learn so much slower than the head


def train_siamese(job: SiameseJob) -> Generator[TrainingReport, None, SiameseOutcome]:
    """Yield how it goes; return what came of it. Goes on from the checkpoint if there is one.

    Raises
    ------
    TrainingError
        Too few annotations, NaN in the loss, a checkpoint of another training, a missing library.
    EncoderError
        The encoder to start from is not here, or it is no network that can learn.
    StorageError
        The disk is full.
    """
    yield TrainingReport(0, 0, "Loading the network")
    began = time.monotonic()
    cells = read_cells(job.folder)
    check_enough(cells)
    if job.params.network == "distance":
        return (yield from _learn_distance(job, cells, began))
    strategy = SiameseStrategy(job, cells)
    trainer, curves = Trainer(strategy, began=began), strategy.curves
    for report in trainer.run():
        curves.add(report)
        yield report
    yield trainer.tell("Choosing the threshold", "end")
    likeness = strategy.likeness()
    header = strategy.header()
    _write_weights(job, strategy.tensors(), header)
    return _finish(
        job, cells, likeness, curves=curves, seen=header.seen, seconds=trainer.seconds()
    )


def _learn_distance(
    job: SiameseJob, cells: SiameseTrainingSet, began: float
) -> Generator[TrainingReport, None, SiameseOutcome]:
    """Learn a distance of an encoder's vectors as they are."""
    encoder = load_encoder(job.base, job.params.device)
    vectors = yield from embed_steps(encoder, cells.crops)
    rule = threshold_rule(job.params.threshold)
    likeness = fit_likeness(
        vectors, cells.labels, seed=job.params.seed, rule=rule, encoder=encoder.info
    )
    took = time.monotonic() - began
    return _finish(job, cells, likeness, curves=Curves(), seen=encoder.info.seen, seconds=took)


def embed_steps(
    encoder: Encoder, crops: NDArray[np.uint8]
) -> Generator[TrainingReport, None, NDArray[np.float32]]:
    """Return the ``(n, dim)`` vectors of crops; yield while they are made."""
    parts = [np.empty((0, encoder.info.dim), dtype=np.float32)]
    for start in range(0, len(crops), BATCH):
        yield TrainingReport(start, len(crops), "Embedding cells")
        parts.append(encoder.encode(crops[start : start + BATCH]))
    return np.concatenate(parts)


def _write_weights(job: SiameseJob, tensors: dict[str, Tensor], header: SiameseHeader) -> None:
    from safetensors.torch import save

    content = save(tensors, metadata=header.to_metadata())
    with atomic_path(job.out / WEIGHTS) as temporary:
        temporary.write_bytes(content)


def _finish(
    job: SiameseJob,
    cells: SiameseTrainingSet,
    likeness: Likeness,
    *,
    curves: Curves,
    seen: str,
    seconds: float,
) -> SiameseOutcome:
    """Write the distance and the report; return what came of it."""
    trained = job.params.network != "distance"
    if trained:
        likeness = replace(likeness, encoder_sha256=file_sha256(job.out / WEIGHTS))
    steps = curves.losses["total"][-1][0] if curves.losses.get("total") else 0
    outcome = SiameseOutcome(
        weights=job.out / WEIGHTS if trained else None,
        likeness=job.out / LIKENESS,
        report=job.out / REPORT,
        encoder=f"siamese:{job.out / WEIGHTS}" if trained else job.base,
        seen=seen,
        kinds=cells.kinds,
        held_out=likeness.learned_from,
        threshold=likeness.threshold,
        auroc=likeness.auroc,
        equal_error=likeness.curve.equal_error if len(likeness.curve.thresholds) else None,
        steps=steps,
        seconds=seconds,
        notes=cells.notes,
    )
    likeness.save(outcome.likeness)
    write_bytes(outcome.report, render_report(outcome, job, likeness, curves).encode())
    return outcome


class SiameseStrategy:
    """One training, for :class:`~napari_hemacells.core.train.trainer.Trainer`.

    Raises
    ------
    TrainingError
        Two kinds are not there, or the library of the loss is missing.
    EncoderError
        The encoder to start from is not here.
    """

    identity_key, message, steady, validates_first = "identity", "Learning", True, False
    running_mean: ModelEma | None = None

    def __init__(self, job: SiameseJob, cells: SiameseTrainingSet) -> None:
        self.job, self.cells = job, cells
        self.out = held_out_rows(cells.labels, job.params.seed)
        _, kinds = np.unique(np.array(cells.labels, dtype=np.str_), return_inverse=True)
        self.kinds = kinds.astype(np.intp)
        self.learned = np.flatnonzero(~self.out)
        self.batch = min(job.params.batch_size, max(2, len(self.learned)))
        self.steps = job.epochs * -(-len(self.learned) // self.batch)
        self.base = (
            None
            if job.params.network == "thesis"
            else cast("NetworkEncoder", load_encoder(job.base, job.params.device))
        )
        self._inputs, self._network, self._device = self._prepare()
        self._loss = make_loss(job.params.loss, job.margin)
        # fused: one pass over the thesis' 40 million weights, six times sooner on a CPU
        self._optimizer = torch.optim.Adam(self._groups(), lr=job.params.rate, fused=True)
        self._losses, self._step, self.curves = list[float](), 0, Curves()
        self.early_stopping = EarlyStopping(NEVER)
        self.checkpoint = job.folder / CHECKPOINT
        self.refusal = (
            f"The checkpoint in {job.folder} is of another training (other cells, "
            "encoder or settings): begin anew without --resume."
        )

    def _prepare(self) -> tuple[NDArray[Any], Any, str]:
        """Return what the network is shown, the network, and its device."""
        seed_step(self.job.params.seed, INIT_SEED_STEP)  # for the first weights
        crops = self.cells.crops
        if self.base is None:
            from napari_hemacells.core.encode import choose_device

            device = choose_device(self.job.params.device).name
            # channels last: its convolutions have so few channels that this halves their time
            network = ThesisNetwork().to(device).to(memory_format=torch.channels_last)
            return crops, network, device
        if not isinstance(self.base, NetworkEncoder):
            raise TrainingError(f"{self.job.base} is no network that a head can be trained on.")
        vectors = _encoded(self.base, crops)
        known = torch.from_numpy(vectors[self.learned])
        head = SiameseHead(known.mean(dim=0), 1 / known.std(dim=0).clamp_min(1e-6))
        if self.job.params.network == "head":
            return vectors, head.to(self.base.device), self.base.device
        body = trainable_copy(self.base)
        taught = set(trainable_parameter_names(body))
        for name, value in body.named_parameters():
            value.requires_grad_(name in taught)
        return crops, EncoderWithHead(body, head).to(self.base.device), self.base.device

    def _groups(self) -> list[dict[str, Any]]:
        if isinstance(self._network, EncoderWithHead):
            own = [value for value in self._network.body.parameters() if value.requires_grad]
            rate = self.job.params.rate * BODY_RATE_FACTOR
            return [
                {"params": list(self._network.head.parameters())},
                {"params": own, "lr": rate},
            ]
        return [{"params": list(self._network.parameters())}]

    # --- what came of it ---------------------------------------------------------------------

    def embed(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """``(n, k)`` vectors of some of the cells by the network as it is now."""
        return self._embed(self._inputs[rows])

    def embed_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``(n, k)`` vectors of other crops by the network as it is now."""
        if self.base is None or isinstance(self._network, EncoderWithHead):
            return self._embed(crops)
        return self._embed(_encoded(self.base, crops))

    def _embed(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        self._network.eval()
        starts = range(0, len(inputs), BATCH)
        with torch.inference_mode():
            parts = [self._network(self._tensor(inputs[at : at + BATCH])).cpu() for at in starts]
        self._set_training()
        return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)

    def likeness(self) -> Likeness:
        """Return the network's own distance with its threshold, from the cells held out."""
        held_out = self.out.any()
        rows = np.flatnonzero(self.out) if held_out else self.learned
        distances, same = pair_distances(self.embed(rows), self.kinds[rows])
        kinds = list(self.cells.kinds)
        listed = ", ".join(kinds[:MOST_NAMED]) + (" and others" if len(kinds) > MOST_NAMED else "")
        chosen = (
            f"{len(rows)} of them that were held out"
            if held_out
            else "these cells themselves, too few to hold any out: too good"
        )
        words = (
            f"{len(self.cells.labels)} annotated cells of {len(kinds)} kinds ({listed}); "
            f"threshold from {chosen}."
        )
        return likeness_of_pairs(distances, same, words, threshold_rule(self.job.params.threshold))

    def header(self) -> SiameseHeader:
        """Return what the file of the weights says."""
        kinds = tuple(self.cells.kinds)
        before = self.base.info.seen if self.base else "nothing before"
        return SiameseHeader(
            base=self.job.base if self.base else "",
            base_sha256=self.base.info.sha256 if self.base else "",
            kinds=kinds,
            cells=len(self.learned),
            seen=f"{before}; then {len(self.cells.labels)} annotated cells of the kinds "
            + ", ".join(kinds),
            date=utc_now(),
            training=self.job.params.model_dump(mode="json", exclude={"device"})
            | {"steps": self._step},
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights that the file holds, by name."""
        network = self._network
        if isinstance(network, ThesisNetwork):
            named = network.state_dict()
        elif isinstance(network, EncoderWithHead):
            own = network.body.state_dict()
            taught = trainable_parameter_names(network.body)
            named = {f"{BODY}{name}": own[name] for name in taught}
            named |= {f"{HEAD}{name}": part for name, part in network.head.state_dict().items()}
        else:
            named = {f"{HEAD}{name}": part for name, part in network.state_dict().items()}
        return {name: value.detach().cpu().contiguous() for name, value in named.items()}

    # --- how far it is -----------------------------------------------------------------------

    @property
    def network(self) -> nn.Module:
        """What learns."""
        return cast("nn.Module", self._network)

    @property
    def done(self) -> int:
        """Steps done."""
        return self._step

    @property
    def total(self) -> int:
        """Steps in all."""
        return self.steps

    @property
    def shown_losses(self) -> dict[str, float]:
        """The mean of the last steps."""
        recent = self._losses[-10:]
        return {"total": float(np.mean(recent))} if recent else {}

    # --- steps and looks ---------------------------------------------------------------------

    def phases(self) -> Iterator[Generator[TrainingReport, None, AbstractContextManager[None]]]:
        """Learn in one go, until the last step."""
        yield self._ready()

    def _ready(self) -> Generator[TrainingReport, None, AbstractContextManager[None]]:
        self._set_training()
        yield from ()  # ready at once
        return nullcontext()

    def begin_round(self) -> int:
        """Return the steps to the next look."""
        return steps_to_validation(self._step, self.steps, VALIDATIONS)

    def next_batch(self, data: None) -> NDArray[np.intp]:  # noqa: ARG002
        """``(n, 2)`` rows of the pairs of the next step, half of one kind and half of two."""
        random = np.random.default_rng([self.job.params.seed, self._step])
        pairs = draw_pairs(self.kinds[self.learned], self.batch, random)
        return self.learned[pairs]

    def learn(self, batch: NDArray[np.intp]) -> int:
        """Do a step with as many of the pairs as fit."""
        seed_step(self.job.params.seed, self._step)
        rows = np.concatenate(batch[: self.batch].T.tolist()).astype(np.intp)
        inputs = self._tensor(self._inputs[rows])
        if isinstance(self._network, EncoderWithHead):
            inputs = _turned(inputs)
        kinds = torch.from_numpy(self.kinds[rows]).to(self._device)
        self._losses.append(
            descend(
                self._losses_of(inputs, kinds),
                self._optimizer,
                self._network,
                lambda: TrainingError("The loss is not a number any more: use a smaller rate."),
                max_norm=None,
            )
        )
        self._step += 1
        return len(rows)

    def _losses_of(self, inputs: Tensor, kinds: Tensor) -> Iterator[Tensor]:
        network = self._network
        compared = network.compared if isinstance(network, ThesisNetwork) else network
        yield self._loss(compared(inputs), kinds)

    def halve(self, error: BaseException) -> str:
        """Take half as many pairs a step."""
        if self.batch < 4:
            raise error
        self.batch //= 2
        return f"The memory is too small: {self.batch} pairs a step from now on."

    def validate(
        self, tell: Callable[..., TrainingReport]
    ) -> Generator[TrainingReport, None, Validation]:
        """Look at the held-out pairs; they do not decide which weights are kept."""
        if not self.out.any():
            return Validation({})
        yield tell("Looking at held-out pairs", "validate")
        rows = np.flatnonzero(self.out)
        distances, same = pair_distances(self.embed(rows), self.kinds[rows])
        return Validation({HELD_OUT_METRIC: auroc_of(distances, same)})

    def keep_weights(self) -> None:
        """Do nothing: the last weights are kept."""

    def _set_training(self) -> None:
        network = self._network
        network.train()
        if isinstance(network, EncoderWithHead):
            network.body.eval()  # its batch statistics stay

    def _tensor(self, inputs: NDArray[Any]) -> Tensor:
        """Return vectors as they are, and crops as normalised images."""
        tensor = torch.from_numpy(inputs).to(self._device)
        if inputs.dtype != np.uint8:
            return tensor
        images = tensor.permute(0, 3, 1, 2).float() / 255
        if self.base is None:
            return images.contiguous(memory_format=torch.channels_last)
        known = self.base.info.preprocessing
        mean, std = (
            torch.tensor(known[name], device=self._device).view(1, 3, 1, 1)
            for name in ("mean", "std")
        )
        return (images - mean) / std

    # --- the checkpoint ----------------------------------------------------------------------

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a checkpoint to be gone on from."""
        return {
            "base": self.base.info.sha256 if self.base else "",
            "steps": self.steps,
            "params": self.job.params.model_dump(exclude={"device"}),
            "cells": self.cells.digest(),
        }

    def state(self) -> dict[str, Any]:
        """Return tensors and plain values, for a checkpoint."""
        return {
            "step": self._step,
            "weights": self.tensors(),
            "optimizer": self._optimizer.state_dict(),
            "batch": self.batch,
            "losses": self._losses,
            "curves": self.curves.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        weights = state["weights"]
        if isinstance(self._network, SiameseHead):
            weights = {name.removeprefix(HEAD): value for name, value in weights.items()}
        self._network.load_state_dict(
            weights, strict=not isinstance(self._network, EncoderWithHead)
        )
        self._optimizer.load_state_dict(state["optimizer"])
        self._step, self.batch, self._losses = state["step"], state["batch"], state["losses"]
        self.curves.restore(state["curves"])


def _encoded(encoder: Encoder, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    starts = range(0, len(crops), BATCH)
    return np.concatenate([encoder.encode(crops[at : at + BATCH]) for at in starts])


def _turned(images: Tensor) -> Tensor:
    """Return the images turned by quarters and mirrored at random: a cell has no upright."""
    turns = torch.randint(8, (len(images),)).tolist()
    seen = [
        torch.rot90(image.flip(2) if turn >= 4 else image, turn % 4, (1, 2))
        for image, turn in zip(images, turns, strict=True)
    ]
    return torch.stack(seen)
