"""Recipes by name, with changes; what is outside the bounds is refused by name."""

import pytest

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.classifier import (
    CLASSIFIER_PRESETS,
    ClassifierConfig,
    preset_config,
)


@pytest.mark.parametrize("name", CLASSIFIER_PRESETS)
def test_every_recipe_can_be_had_by_its_name(name):
    assert preset_config(name) == CLASSIFIER_PRESETS[name].recipe


def test_a_recipe_with_changes_keeps_the_rest():
    changed = preset_config("From-Nothing", {"epochs": 3})
    assert changed.epochs == 3
    assert changed.weights == "none"


def test_the_thermogram_recipe_is_the_thesis():
    recipe = preset_config("thesis-thermograms")
    rates = [recipe.rate * recipe.lower**place for place in (2, 1, 0)]
    assert rates == pytest.approx([1e-4, 1e-3, 1e-2])
    lengths = [recipe.cycle_length * recipe.cycle_multiplier**cycle for cycle in range(3)]
    assert sum(lengths) == recipe.epochs
    assert (recipe.size, recipe.zoom, recipe.schedule) == (224, 1.1, "restarts")
    assert recipe.upright
    assert recipe.search  # the rate finder is run, its curve kept
    assert recipe.frozen_epochs > 0
    assert recipe.tta > 0


def test_unknown_names_and_values_are_refused_in_words():
    with pytest.raises(TrainingError, match="quick"):
        preset_config("fast")
    with pytest.raises(TrainingError, match="“epochs” cannot be -1"):
        preset_config("quick", {"epochs": -1})


def test_every_parameter_has_a_title_and_a_description():
    assert all(one.title and one.description for one in ClassifierConfig.model_fields.values())
