"""Several annotators, one set of cells: reading their points, consensus, agreement, simulation."""

from napari_hemacells.core.consensus.consensus import (
    COLUMNS,
    METHODS,
    Consensus,
    ConsensusMethod,
    make_consensus,
    summarise,
)
from napari_hemacells.core.consensus.grouping import THESIS_RADIUS
from napari_hemacells.core.consensus.points import (
    AnnotatorPoints,
    joined_points,
    points_from_rows,
)
from napari_hemacells.core.consensus.projects import read_project_points
from napari_hemacells.core.consensus.reading import read_annotator_points

__all__ = [
    "COLUMNS",
    "METHODS",
    "THESIS_RADIUS",
    "AnnotatorPoints",
    "Consensus",
    "ConsensusMethod",
    "joined_points",
    "make_consensus",
    "points_from_rows",
    "read_annotator_points",
    "read_project_points",
    "summarise",
]
