"""Which layers learn, when, and how fast."""

import pytest
import torch
from torch import nn

from napari_hemacells.core.encode.finetuned.config import NetworkPlan
from napari_hemacells.core.encode.finetuned.network import Classifier
from napari_hemacells.core.train.classifier import ClassifierConfig
from napari_hemacells.core.train.classifier.schedule import (
    LRSchedule,
    layer_groups,
    make_optimiser,
    set_trainable,
    train_mode,
    training_stages,
)

HALF = (0.5, 0.5, 0.5)


@pytest.fixture
def network():
    return Classifier(NetworkPlan("test_resnet", "concat", 32, HALF, HALF), 3)


@pytest.mark.parametrize("grouping", ["three", "layers"])
def test_groups_hold_every_parameter_once_the_head_last(network, grouping):
    groups = layer_groups(network, ClassifierConfig(grouping=grouping))
    every = [id(one) for group in groups for one in group]
    assert sorted(every) == sorted(id(one) for one in network.parameters())
    assert {id(one) for one in groups[-1]} == {id(one) for one in network.head_parameters()}
    assert (len(groups) == 3) == (grouping == "three")


def test_earlier_groups_learn_more_slowly(network):
    recipe = ClassifierConfig(lower=0.1)
    optimiser = make_optimiser(layer_groups(network, recipe), 0, 1e-2, recipe)
    assert [one["lr"] for one in optimiser.param_groups] == pytest.approx([1e-4, 1e-3, 1e-2])


def test_a_frozen_body_keeps_weights_and_statistics(network):
    set_trainable(network, layer_groups(network, ClassifierConfig()), 2)
    train_mode(network)
    before = {name: one.clone() for name, one in network.embedder.trunk.state_dict().items()}
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    network(torch.randn(4, 3, 32, 32)).square().mean().backward()
    optimiser.step()
    after = network.embedder.trunk.state_dict()
    assert all(torch.equal(one, after[name]) for name, one in before.items())
    neck = network.embedder.neck[0]
    assert isinstance(neck, nn.BatchNorm1d)
    assert neck.training


def test_stages_are_frozen_then_whole_or_gradual():
    whole = training_stages(ClassifierConfig(frozen_epochs=2, epochs=5), 3)
    assert [(one.epochs, one.first_group) for one in whole] == [(2, 2), (5, 0)]
    gradual = training_stages(ClassifierConfig(frozen_epochs=1, epochs=5, gradual=True), 4)
    assert [(one.epochs, one.first_group) for one in gradual] == [(1, 3), (1, 2), (1, 1), (3, 0)]
    assert [
        one.first_group for one in training_stages(ClassifierConfig(frozen_epochs=0, epochs=1), 3)
    ] == [0]


def rates(recipe, epochs, steps):
    optimiser = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = LRSchedule(optimiser, recipe, epochs=epochs, steps=steps)
    found = []
    for _ in range(epochs):
        for _ in range(steps):
            found.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            schedule.step()
        schedule.epoch(1.0)
    return found


def test_one_cycle_goes_up_and_comes_down():
    found = rates(ClassifierConfig(schedule="one-cycle"), 4, 5)
    assert max(found) == pytest.approx(1.0, abs=0.05)
    assert found[0] < 0.1
    assert found[-1] < 0.01


def test_restarts_begin_anew_after_one_three_and_seven_epochs():
    found = rates(ClassifierConfig(schedule="restarts", cycle_length=1, cycle_multiplier=2), 7, 4)
    starts = [place for place, one in enumerate(found) if one == pytest.approx(1.0)]
    assert starts == [0, 4, 12]


def test_plateau_lowers_the_rate_when_nothing_gets_better():
    found = rates(ClassifierConfig(schedule="plateau"), 6, 2)
    assert found[0] == 1.0
    assert found[-1] == pytest.approx(0.3)


def test_a_schedule_goes_on_where_it_was():
    recipe = ClassifierConfig(schedule="one-cycle")
    optimiser = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = LRSchedule(optimiser, recipe, epochs=2, steps=5)
    for _ in range(4):
        optimiser.step()
        schedule.step()
    state, rule = schedule.state(), optimiser.state_dict()
    other = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=1.0)
    again = LRSchedule(other, recipe, epochs=2, steps=5)
    other.load_state_dict(rule)
    again.restore(state)
    for one, plan in ((optimiser, schedule), (other, again)):
        one.step()
        plan.step()
    assert other.param_groups[0]["lr"] == optimiser.param_groups[0]["lr"]
