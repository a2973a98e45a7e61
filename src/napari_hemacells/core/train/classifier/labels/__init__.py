"""Suspected wrong labels: cells on whose class models that have not seen them disagree."""

from napari_hemacells.core.train.classifier.labels.check import (
    LabelCheck,
    check_labels_steps,
    check_out_of_fold,
    check_vectors,
    suspects_of,
    write_suspects,
)

__all__ = [
    "LabelCheck",
    "check_labels_steps",
    "check_out_of_fold",
    "check_vectors",
    "suspects_of",
    "write_suspects",
]
