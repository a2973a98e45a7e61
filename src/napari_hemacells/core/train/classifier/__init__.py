"""Fine-tuning a classifier of cells: recipes, data, the loop, and what comes of it.

Importing this package imports the recipes alone; a training is :func:`~.run.train_steps` with a
:class:`~.run.TrainJob`.
"""

from napari_hemacells.core.train.classifier.config import ClassifierConfig
from napari_hemacells.core.train.classifier.presets import CLASSIFIER_PRESETS, preset_config

__all__ = ["CLASSIFIER_PRESETS", "ClassifierConfig", "preset_config"]
