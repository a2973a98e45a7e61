"""A project's adapted encoder, found again wherever the project was moved to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_hemacells.core.encode.choices import settled
from napari_hemacells.core.encode.shelf import file_sha256
from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.train.selfsupervised.kept import encoders

if TYPE_CHECKING:
    from napari_hemacells.core.store import Project

ADAPTED = "adapted:"


def encoder_of(project: Project) -> str:
    """Return the name of the encoder that a project looks at cells with, as it is found here.

    An adapted encoder is named by its place on one computer's shelf; where it is not there, the
    project brings its own copy along, known by the hash that is the file's name.
    """
    name = project.content.encoder_name
    file = Path(name.removeprefix(ADAPTED))
    if not name.startswith(ADAPTED) or file.is_file():
        return name
    for own in encoders(project):
        if file_sha256(own) == file.stem:
            try:
                return settled(f"{ADAPTED}{own}")
            except StorageError:
                return f"{ADAPTED}{own}"  # good enough to look at cells with
    return name
