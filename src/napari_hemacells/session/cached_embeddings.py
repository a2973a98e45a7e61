"""The embeddings of an image's cells as the project's cache has them; nothing is embedded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.types import Embeddings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.core.store import Project
    from napari_hemacells.core.types import Cells


def picture_embeddings(
    project: Project, key: str, like: Embeddings, numbers: Sequence[int] | None = None
) -> tuple[Embeddings, bool]:
    """Return the cached embeddings of a folder's pictures, and whether all of them are there.

    Parameters
    ----------
    like
        Their encoder and crop are those of these.
    numbers
        The pictures that are wanted; those that the folder does not have are passed over. All of
        them if ``None``.

    Raises
    ------
    ProjectError
        The folder's numbers are missing or damaged.
    """
    from napari_hemacells.core.encode import EmbeddingCache, cached_collection

    pictures = project.load_pictures(key)
    there = pictures.numbers.tolist()
    wanted = there if numbers is None else sorted(set(there) & set(numbers))
    cache = EmbeddingCache(project.embeddings_folder)
    cached = cached_collection(pictures, like.spec, like.encoder, cache, wanted)
    return cached, len(cached) == len(wanted if numbers is None else set(numbers))


def cell_embeddings(
    project: Project, key: str, like: Embeddings, cells: Cells
) -> tuple[Embeddings, bool]:
    """Return the cached embeddings of an image's cells, and whether all of them are there."""
    from napari_hemacells.core.encode import EmbeddingCache

    cache = EmbeddingCache(project.embeddings_folder)
    vectors, known = cache.load(key, like.encoder, like.spec, cells.boxes)
    complete = bool(known.all())
    chosen = slice(None) if complete else known  # all of them without a copy
    kinds = None if cells.kinds is None else cells.kinds[chosen]
    cached = Embeddings(
        cells.ids[chosen], vectors[chosen], like.encoder, like.spec, key, kinds=kinds
    )
    return cached, complete
