from __future__ import annotations

import pytest

from napari_hemacells.core.encode.device import is_out_of_memory
from napari_hemacells.core.train.callbacks import EarlyStopping
from napari_hemacells.core.train.learning_curves import Curves
from napari_hemacells.core.train.progress import ThroughputMeter, TrainingReport


def test_pace_tells_images_a_second_and_leaves_pauses_out() -> None:
    now = iter([0.0, 2.0, 10.0, 12.0])
    pace = ThroughputMeter(clock=lambda: next(now))
    assert pace.eta(3) is None
    pace.step(8)  # two seconds
    pace.reset_timer()  # eight more, which do not count
    pace.step(8)  # two seconds
    assert pace.images_per_second == pytest.approx(4.0)
    assert pace.eta(3) == pytest.approx(6.0)


def test_best_so_far_counts_looks_without_gain() -> None:
    best = EarlyStopping(patience=2, least=0.01)
    assert [best.update(value, step) for step, value in enumerate([0.5, 0.505, 0.6])] == [
        True,
        False,
        True,
    ]
    assert (best.step, best.should_stop) == (2, False)
    best.update(0.6, 3)
    best.update(0.6, 4)
    assert best.should_stop
    again = EarlyStopping(patience=2, least=0.01)
    again.restore(best.state())
    assert again.should_stop
    assert again.step == 2


def test_curves_of_a_resumed_training_have_each_step_once() -> None:
    curves = Curves()
    for step in (1, 2, 3):
        assert curves.add(TrainingReport(step, 9, losses={"total": float(step)}))
    assert not curves.add(TrainingReport(3, 9, losses={"total": 3.0}))  # the last one again
    curves.add(TrainingReport(2, 9, losses={"total": 2.5}))  # gone on from the step before
    assert curves.losses["total"] == [(1, 1.0), (2, 2.5)]
    other = Curves()
    other.restore(curves.state())
    assert other.losses == curves.losses


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (MemoryError(), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_is_told_from_other_errors(error, full) -> None:
    assert is_out_of_memory(error) is full
