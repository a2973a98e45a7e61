"""The one loop: every training goes through it, stops where it is told, and goes on."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightly", reason="the extra adapt is not installed")

from made_up_discs import SMALL, add_discs, disc  # noqa: E402
from napari_hemacells.core.encode import registry  # noqa: E402
from napari_hemacells.core.errors import TrainingError  # noqa: E402
from napari_hemacells.core.params import AdaptParams, TrainDetectorParams  # noqa: E402
from napari_hemacells.core.train.callbacks import (  # noqa: E402
    NEVER,
    EarlyStopping,
    load_checkpoint,
)
from napari_hemacells.core.train.classifier import ClassifierConfig  # noqa: E402
from napari_hemacells.core.train.classifier.pipeline import train_steps  # noqa: E402
from napari_hemacells.core.train.classifier.trainer import ClassifierStrategy  # noqa: E402
from napari_hemacells.core.train.classifier.training import TrainJob  # noqa: E402
from napari_hemacells.core.train.detector.config import DetectorJob, prepare_folder  # noqa: E402
from napari_hemacells.core.train.detector.trainer import DetectorStrategy, fine_tune  # noqa: E402
from napari_hemacells.core.train.ema import ModelEma  # noqa: E402
from napari_hemacells.core.train.selfsupervised.config import AdaptJob  # noqa: E402
from napari_hemacells.core.train.selfsupervised.dataset import (  # noqa: E402
    AdaptTrainingSet,
    LabelledCrops,
    write_training_set,
)
from napari_hemacells.core.train.selfsupervised.trainer import (  # noqa: E402
    SimCLRStrategy,
    adapt,
)
from napari_hemacells.core.train.trainer import (  # noqa: E402
    Trainer,
    Validation,
    descend,
    steps_to_validation,
    until_it_fits,
)
from napari_hemacells.core.types.progress import run_to_end  # noqa: E402
from napari_hemacells.samples.smear import rehearsal_fields  # noqa: E402


class Line:
    """A slope that learns to be 3, two steps a round."""

    identity_key, refusal, message, steady = "identity", "of another training", "Learning", True
    validates_first = True

    def __init__(self, folder, *, steps=8, patience=NEVER, rate=0.05):
        self.checkpoint, self.total, self.rate = folder / "checkpoint.pt", steps, rate
        self.network = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(self.network.weight)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=rate)
        self.running_mean = ModelEma(self.network, 0.9)
        self.early_stopping = EarlyStopping(patience)
        self.done, self.portion, self.fits, self.kept = 0, 4, 4, []
        self.shown_losses, self.open = {}, 0

    def identity(self):
        return {"steps": self.total}

    def state(self):
        return {
            "done": self.done,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state):
        self.done = state["done"]
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])

    def phases(self):
        yield self._prepare()

    def _prepare(self):
        yield from ()
        return nullcontext(torch.arange(1.0, 5.0)[:, None])

    def begin_round(self):
        return steps_to_validation(self.done, self.total, self.total // 2)

    def next_batch(self, data):
        return data

    def learn(self, batch):
        if self.portion > self.fits:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        parts = batch.split(self.portion)
        losses = (((self.network(part) - 3 * part) ** 2).sum() / len(batch) for part in parts)
        refuse = TrainingError("no number")
        self.shown_losses = {
            "total": descend(losses, self.optimiser, self.network, lambda: refuse)
        }
        self.done += 1
        return len(batch)

    def halve(self, error):
        if self.portion == 1:
            raise error
        self.portion //= 2
        return f"{self.portion} at once"

    def validate(self, tell):
        yield tell("Looking", "validate")
        error = abs(self.network.weight.item() - 3)
        return Validation({"error": error}, score=-error, step=self.done)

    def keep_weights(self):
        self.kept.append(self.done)


def test_rounds_looks_and_the_best_weights(tmp_path) -> None:
    line = Line(tmp_path)
    reports = list(Trainer(line).run())
    looked = [report.step for report in reports if report.metrics]
    assert looked == [0, 2, 4, 6, 8] == line.kept  # it gets better every time
    assert [report.step for report in reports if report.message == "Learning"] == sorted(
        [*range(1, 9), *looked]
    )
    assert reports[-1].eta_s == 0
    mean, own = line.running_mean.tensors["weight"].item(), line.network.weight.item()
    assert 0 < mean < own


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path) -> None:
    whole = Line(tmp_path / "whole")
    list(Trainer(whole).run())
    steps = Trainer(Line(tmp_path)).run()
    for report in steps:
        if report.step == 5:
            steps.close()
    resumed = Line(tmp_path)
    trainer = Trainer(resumed)
    assert trainer.resumed
    assert resumed.done == 4
    list(trainer.run())
    assert resumed.network.weight.item() == whole.network.weight.item()
    assert trainer.seconds() > load_checkpoint(tmp_path / "checkpoint.pt")["seconds"] > 0


def test_another_trainings_checkpoint_is_refused_or_left_alone(tmp_path) -> None:
    list(Trainer(Line(tmp_path)).run())
    with pytest.raises(TrainingError, match="of another training"):
        Trainer(Line(tmp_path, steps=6))
    lenient = Line(tmp_path, steps=6)
    lenient.refusal = ""
    assert not Trainer(lenient).resumed
    assert lenient.done == 0


def test_only_the_process_that_writes_leaves_a_checkpoint(tmp_path) -> None:
    list(Trainer(Line(tmp_path), writes=False).run())
    assert not (tmp_path / "checkpoint.pt").exists()


def test_no_gain_ends_it(tmp_path) -> None:
    line = Line(tmp_path, steps=40, patience=1, rate=2.5)
    list(Trainer(line).run())
    assert line.done < 40
    assert line.early_stopping.should_stop


def test_portions_change_nothing_but_the_memory(tmp_path) -> None:
    whole, tight = Line(tmp_path / "whole"), Line(tmp_path / "tight")
    tight.fits = 1
    list(Trainer(whole).run())
    said = [report.message for report in Trainer(tight).run()]
    assert "1 at once" in said
    assert tight.network.weight.item() == pytest.approx(whole.network.weight.item())


def test_memory_too_small_for_anything_is_the_error_itself(tmp_path) -> None:
    line = Line(tmp_path)
    line.fits = 0
    with pytest.raises(RuntimeError, match="out of memory"):
        list(Trainer(line).run())


def test_another_error_is_not_tried_again() -> None:
    tried = []

    def broken():
        tried.append(1)
        raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match="shapes"):
        until_it_fits(broken, tried.append)
    assert tried == [1]


def test_a_loss_that_is_no_number_changes_no_weight(tmp_path) -> None:
    line = Line(tmp_path)
    with pytest.raises(TrainingError, match="no number"):
        descend(
            iter([line.network.weight.sum() * float("nan")]),
            line.optimiser,
            line.network,
            lambda: TrainingError("no number"),
        )
    assert line.network.weight.item() == 0


# --- the three strategies --------------------------------------------------------------------


def classifier(folder):
    for name in ("red", "violet"):
        add_discs(folder / "discs", name, 8)
    recipe = ClassifierConfig(**SMALL)
    return train_steps(TrainJob(folder / "discs", folder / "run", recipe, "discs"))


def detector(folder):
    run = folder / "run"
    if not (run / "checkpoint.pt").exists():
        prepare_folder(run, list(rehearsal_fields(range(2), (160, 240))))
    params = TrainDetectorParams(batch_size=2, device="cpu")
    return fine_tune(DetectorJob(run, folder / "own.safetensors", 4, params))


def encoder(folder):
    run = folder / "run"
    if not (run / "checkpoint.pt").exists():
        crops = [disc(name, seed) for name in ("red", "violet") for seed in range(20)]
        clicks = LabelledCrops(np.stack(crops[::10]), ("red",) * 2 + ("violet",) * 2)
        write_training_set(run, AdaptTrainingSet(np.stack(crops), clicks, ("one",)))
    params = AdaptParams(steps=4, batch_size=16, device="cpu")
    return adapt(AdaptJob(run, folder / "own.safetensors", params, "untrained:test_vit?size=32"))


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (classifier, ClassifierStrategy),
        pytest.param(detector, DetectorStrategy, marks=pytest.mark.slow),
        (encoder, SimCLRStrategy),
    ],
)
def test_every_training_is_the_trainers_and_goes_on_where_it_was_stopped(
    tmp_path, monkeypatch, start, kind
) -> None:
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name: str(tmp_path / "data"))
    registry._load_cached.cache_clear()
    trainers = []
    run = Trainer.run

    def watched(trainer):
        trainers.append(trainer)
        yield from run(trainer)

    monkeypatch.setattr(Trainer, "run", watched)
    steps = start(tmp_path)
    looks = 0
    for report in steps:
        looks += bool(report.metrics) and report.step > 0
        if looks and report.phase == "train":  # the first step after the first checkpoint
            steps.close()
    stopped = trainers[0].strategy.done
    assert 0 < stopped < trainers[0].strategy.total
    run_to_end(start(tmp_path))
    first, second = trainers
    assert isinstance(first.strategy, kind)
    assert isinstance(second.strategy, kind)
    assert second.resumed
    assert second.strategy.done == second.strategy.total


@pytest.mark.parametrize(
    "change",
    [
        {"network": None},
        {"network": {"weight": torch.zeros(3)}},
        {"optimiser": {}},
        {"optimiser": 3},
        {"seconds": "long"},
        {"identity": torch.zeros(3)},
    ],
)
def test_a_checkpoint_whose_parts_do_not_fit_is_a_sentence(tmp_path, change):
    line = Line(tmp_path)
    state = {"identity": line.identity(), "seconds": 1.0, **line.state()}
    torch.save(state, line.checkpoint)
    assert Trainer(Line(tmp_path)).resumed
    torch.save(state | change, line.checkpoint)
    with pytest.raises(TrainingError, match=r"damaged|another training"):
        Trainer(Line(tmp_path))
