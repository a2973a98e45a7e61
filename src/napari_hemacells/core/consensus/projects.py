"""The annotations in several projects of this program as points of several annotators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.consensus.points import points_from_rows
from napari_hemacells.core.errors import AnnotationError
from napari_hemacells.core.store.project import Project, annotation_state

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_hemacells.core.annotate import AnnotationState
    from napari_hemacells.core.consensus.points import AnnotatorPoints


def read_project_points(folders: Sequence[Path]) -> AnnotatorPoints:
    """Return every annotator's annotated cells in these projects.

    Images are the same where their content is the same. Annotators of one name in several
    projects are told apart by the project's folder.

    Raises
    ------
    ProjectError
        A project cannot be opened as it is.
    AnnotationError
        Nobody has annotated a cell in them.
    """
    projects = [Project.open(folder) for folder in folders]
    states = [annotation_state(project) for project in projects]
    names = _annotator_names(folders, states)
    image_names = _image_names(projects)
    rows: list[tuple[str, str, float, float, str]] = []
    for at, state in enumerate(states):
        for annotator, labels in state.by_annotator.items():
            rows += [
                (
                    image_names.get(ref.image_key, ref.image_key), names[at, annotator],
                    word.row, word.col, state.palette.by_id(word.class_id).name,
                )
                for ref, word in labels.items()
            ]  # fmt: skip
    if not rows:
        raise AnnotationError("Nobody has annotated a cell in these projects.")
    return points_from_rows(rows)


def _annotator_names(
    folders: Sequence[Path], states: Sequence[AnnotationState]
) -> dict[tuple[int, str], str]:
    """Name each annotator of each project; with the folder where two have one name."""
    plain = [name for state in states for name in state.by_annotator]
    named = {}
    taken: set[str] = set()
    for at, (folder, state) in enumerate(zip(folders, states, strict=True)):
        for name in state.by_annotator:
            text = f"{name} ({folder.name})" if plain.count(name) > 1 else name
            while text in taken:
                text += "′"
            taken.add(text)
            named[at, name] = text
    return named


def _image_names(projects: Sequence[Project]) -> dict[str, str]:
    """Name each image by its key; with the key where two images have one name."""
    names = {stored.key: stored.name for project in projects for stored in project.images}
    plain = list(names.values())
    return {
        key: f"{name} ({key})" if plain.count(name) > 1 else name for key, name in names.items()
    }
