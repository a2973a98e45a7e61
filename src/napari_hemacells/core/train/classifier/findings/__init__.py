"""What a finished training says of its pictures: figures, confusions, and which to look at.

``read_findings(folder)`` is all that a panel or a report needs; it imports no torch.
"""

from napari_hemacells.core.train.classifier.findings.read import (
    CROSS_VALIDATED,
    SUSPECTS,
    read_findings,
    read_items,
    read_suspects,
)
from napari_hemacells.core.train.classifier.findings.records import (
    BinaryFigures,
    ClassFigures,
    ConfusedPair,
    Confusion,
    Figures,
    Findings,
    Item,
    JudgedPart,
    ReliabilityBin,
    Suspect,
    confusion_of,
)

__all__ = [
    "CROSS_VALIDATED",
    "SUSPECTS",
    "BinaryFigures",
    "ClassFigures",
    "ConfusedPair",
    "Confusion",
    "Figures",
    "Findings",
    "Item",
    "JudgedPart",
    "ReliabilityBin",
    "Suspect",
    "confusion_of",
    "read_findings",
    "read_items",
    "read_suspects",
]
