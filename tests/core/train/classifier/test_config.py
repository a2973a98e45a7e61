"""Recipes by name, with changes; what is outside the bounds is refused by name."""

import pytest

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.classifier import RECIPES, Recipe, named_recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_had_by_its_name(name):
    assert named_recipe(name) == RECIPES[name].recipe


def test_a_recipe_with_changes_keeps_the_rest():
    changed = named_recipe("From-Nothing", {"epochs": 3})
    assert changed.epochs == 3
    assert changed.weights == "none"


def test_the_thermogram_recipe_is_the_thesis():
    recipe = named_recipe("thesis-thermograms")
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
        named_recipe("fast")
    with pytest.raises(TrainingError, match="“epochs” cannot be -1"):
        named_recipe("quick", {"epochs": -1})


def test_every_parameter_has_a_title_and_a_description():
    assert all(one.title and one.description for one in Recipe.model_fields.values())
