"""Fine-tuning a classifier of cells: recipes, data, the loop, and what comes of it.

Importing this package does not import torch; training does.
"""

from napari_hemacells.core.train.classifier.examples import (
    Example,
    Examples,
    read_examples,
    write_examples,
)
from napari_hemacells.core.train.classifier.outcome import Outcome
from napari_hemacells.core.train.classifier.recipe import Recipe
from napari_hemacells.core.train.classifier.recipes import RECIPES, named_recipe
from napari_hemacells.core.train.classifier.run import TrainJob, train, train_steps

__all__ = [
    "RECIPES",
    "Example",
    "Examples",
    "Outcome",
    "Recipe",
    "TrainJob",
    "named_recipe",
    "read_examples",
    "train",
    "train_steps",
    "write_examples",
]
