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
    assert recipe.frozen_epochs == 3
    assert (recipe.batch, recipe.contrast) == (64, 0.05)


THESES = {
    "anomalies": {
        "frozen_epochs": 20, "search_again": True, "epochs": 5, "rate": None, "rate_low": 1e-6,
        "rate_high": 1e-4, "head": "concat", "flips": True, "zoom": 1.1, "brightness": 0.2,
        "chance": 0.75, "size": 224, "batch": 64,
    },
    "resnet": {"gradual": True, "arch": "resnet34", "schedule": "one-cycle"},
    "vit": {"batch": 64, "epochs": 15, "crop_least": 0.75, "mix": "none", "smoothing": 0.0},
    "vit-mixup": {
        "batch": 64, "epochs": 15, "crop_least": 0.75, "mix": "mixup", "smoothing": 0.1,
    },
    "five-shot": {
        "arch": "resnet18", "size": 224, "flips": True, "upright": False, "frozen_epochs": 0,
        "epochs": 16, "schedule": "one-cycle", "rate_low": 1e-4, "rate_high": 1e-3, "shots": 5,
        "rotation": 0.0, "zoom": 1.0, "brightness": 0.0, "stain": 0.0,
    },
    "thermograms": {
        "batch": 64, "frozen_epochs": 3, "epochs": 7, "schedule": "restarts", "cycle_length": 1,
        "cycle_multiplier": 2, "rate": 1e-2, "lower": 0.1, "grouping": "three", "contrast": 0.05,
        "tta": 4,
    },
    "alive-dead": {
        "arch": "small_vgg_bn", "rotation": 15.0, "shear": 0.1, "zoom": 1.2, "zoom_out": 0.8,
        "shift": 0.1, "optimiser": "adam", "schedule": "plateau", "batch": 32, "rate": 1e-3,
        "plateau_factor": 0.5, "plateau_patience": 5, "flips": True, "patience": 12,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", THESES)
def test_a_thesis_preset_has_its_parameters(name):
    recipe = preset_config(name).model_dump()
    assert {key: recipe[key] for key in THESES[name]} == THESES[name]
    assert preset_config(f"thesis-{name}") == preset_config(name)
    assert CLASSIFIER_PRESETS[name].differences


def test_vit_and_vit_mixup_differ_in_mixing_and_smoothing_alone():
    plain, mixed = (preset_config(name).model_dump() for name in ("vit", "vit-mixup"))
    assert {key for key in plain if plain[key] != mixed[key]} == {"mix", "smoothing"}


def test_unknown_names_and_values_are_refused_in_words():
    with pytest.raises(TrainingError, match="quick"):
        preset_config("fast")
    with pytest.raises(TrainingError, match="“epochs” cannot be -1"):
        preset_config("quick", {"epochs": -1})


def test_every_parameter_has_a_title_and_a_description():
    assert all(one.title and one.description for one in ClassifierConfig.model_fields.values())
