"""The cells of a project's images as they count: detected, and corrected by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.annotate.corrections import corrected
from napari_hemacells.core.annotate.history import replay
from napari_hemacells.core.annotate.journal import read_journal

if TYPE_CHECKING:
    from napari_hemacells.core.annotate.state import AnnotationState
    from napari_hemacells.core.store.project import Project
    from napari_hemacells.core.types import Cells


def annotation_state(project: Project) -> AnnotationState:
    """Return what the journal of a project says, whether it is open elsewhere or not.

    Raises
    ------
    ProjectError
        For a damaged journal.
    """
    path = project.journal_path
    return replay(read_journal(path) if path.is_file() else ())


def corrected_cells(
    project: Project, image_key: str, state: AnnotationState | None = None
) -> Cells:
    """Return the detected cells of an image with the user's corrections; no session is needed.

    Parameters
    ----------
    state
        From :func:`annotation_state`, where several images are asked for.

    Raises
    ------
    ProjectError
        Where no cells were saved, or they or the journal are damaged.
    """
    said = annotation_state(project) if state is None else state
    return corrected(project.load_cells(image_key), said.corrections_of(image_key))
