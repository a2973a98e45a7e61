"""How good a classifier is, with intervals, and what the figure stands on.

Importing this package does not import scikit-learn or torch.
"""

from napari_hemacells.core.evaluate.class_folders import (
    ClassFolder,
    embed_folder_steps,
    list_class_folders,
    read_folder,
)
from napari_hemacells.core.evaluate.classification_metrics import (
    ClassificationScores,
    percentile_interval,
    score_predictions,
)
from napari_hemacells.core.evaluate.fewshot import FewShotReport, ShotScore, fewshot, fewshot_steps
from napari_hemacells.core.evaluate.splits import group_key, in_validation

__all__ = [
    "ClassFolder",
    "ClassificationScores",
    "FewShotReport",
    "ShotScore",
    "embed_folder_steps",
    "fewshot",
    "fewshot_steps",
    "group_key",
    "in_validation",
    "list_class_folders",
    "percentile_interval",
    "read_folder",
    "score_predictions",
]
