"""How well healthy and sick patients are told apart by their thermograms, without being fooled.

Importing this package does not import scikit-learn.
"""

from napari_hemacells.core.evaluate.thermograms.exams import Exam, ExamData, read_exams
from napari_hemacells.core.evaluate.thermograms.run import (
    EvaluateThermogramsParams,
    evaluate_thermograms_steps,
)

__all__ = [
    "EvaluateThermogramsParams",
    "Exam",
    "ExamData",
    "evaluate_thermograms_steps",
    "read_exams",
]
