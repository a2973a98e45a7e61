"""What was called *Not a cell* in a project is remembered for later ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.store import not_a_cell_memory
from napari_hemacells.core.types import NOT_A_CELL_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_hemacells.core.types import Embeddings


def remember_not_cells(embeddings: Embeddings | None, annotated: Mapping[int, str]) -> str:
    """Keep what the user's things that are no cells look like; return why that failed, if so."""
    marked = [cell for cell, class_id in annotated.items() if class_id == NOT_A_CELL_ID]
    if embeddings is None or not marked:
        return ""
    rows = [embeddings.rows[cell] for cell in marked if cell in embeddings.rows]
    if not rows:
        return ""
    vectors = embeddings.vectors[rows]
    try:
        not_a_cell_memory.remember(embeddings.encoder, embeddings.spec, vectors)
    except StorageError as error:
        return str(error)
    return ""
