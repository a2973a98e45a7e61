"""Fine-tuning a classifier of cells: recipes, data, the loop, and what comes of it.

Importing this package imports the recipes alone; a training is :func:`~.run.train_steps` with a
:class:`~.run.TrainJob`.
"""

from napari_hemacells.core.train.classifier.config import RECIPES, Recipe, named_recipe

__all__ = ["RECIPES", "Recipe", "named_recipe"]
