"""Cross-validated classification of patients by their thermograms, with baselines and checks.

Importing this package does not import scikit-learn.
"""

from napari_hemacells.core.thermography.study.cross_validation import (
    EvaluateThermogramsParams,
    evaluate_thermograms_steps,
)
from napari_hemacells.core.thermography.study.exams import ExamData, ThermogramExam, read_exams

__all__ = [
    "EvaluateThermogramsParams",
    "ExamData",
    "ThermogramExam",
    "evaluate_thermograms_steps",
    "read_exams",
]
