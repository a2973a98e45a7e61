"""How good a classifier is, with intervals, and what the figure stands on.

Importing this package does not import scikit-learn or torch.
"""

from napari_hemacells.core.evaluate.class_folders import (
    ClassFolder,
    class_folders,
    embed_folder_steps,
    read_folder,
)
from napari_hemacells.core.evaluate.classification_metrics import Scores, interval, score
from napari_hemacells.core.evaluate.fewshot import FewShotReport, ShotScore, fewshot, fewshot_steps
from napari_hemacells.core.evaluate.splits import group_key, in_validation

__all__ = [
    "ClassFolder",
    "FewShotReport",
    "Scores",
    "ShotScore",
    "class_folders",
    "embed_folder_steps",
    "fewshot",
    "fewshot_steps",
    "group_key",
    "in_validation",
    "interval",
    "read_folder",
    "score",
]
