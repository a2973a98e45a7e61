"""How well healthy and sick patients are told apart by their thermograms, without being fooled.

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
