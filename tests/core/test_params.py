"""What parameters of trainings share, and the order in which files and forms have them."""

from __future__ import annotations

import pytest

from napari_hemacells.core.params import AdaptParams, TrainDetectorParams, TrainingParams
from napari_hemacells.core.train.classifier import ClassifierConfig

ENDS = {
    TrainDetectorParams: ["steps", "rate", "batch_size", "seed", "device"],
    AdaptParams: ["steps", "rate", "temperature", "batch_size", "seed", "device"],
    ClassifierConfig: ["keep", "batch", "seed", "device", "precision", "memory_mb"],
}


@pytest.mark.parametrize("params", ENDS)
def test_every_training_has_the_shared_parameters(params) -> None:
    assert issubclass(params, TrainingParams)
    for name in TrainingParams.model_fields:
        shared, own = TrainingParams.model_fields[name], params.model_fields[name]
        assert (own.default, own.title, own.metadata) == (
            shared.default,
            shared.title,
            shared.metadata,
        )


@pytest.mark.parametrize("params", ENDS)
def test_the_order_stays_that_of_old_files(params) -> None:
    """The fingerprint in a classifier's checkpoint hashes the parameters in their order."""
    end = ENDS[params]
    assert list(params.model_fields)[-len(end) :] == end
    assert list(params(seed=3).model_dump())[-len(end) :] == end
