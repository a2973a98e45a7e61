"""Conversion between a session's classifier and a model bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_hemacells.core.annotate import Palette
from napari_hemacells.core.errors import AnnotationError
from napari_hemacells.session.live_classifier import LoadedModel

if TYPE_CHECKING:
    from napari_hemacells.core.store import Bundle
    from napari_hemacells.session.state import SessionState


def prepare_bundle(bundle: Bundle, palette: Palette) -> LoadedModel:
    """The bundle, with class ids of this project where its classes have the same names."""
    from napari_hemacells.core.classify import SupportSet
    from napari_hemacells.core.classify.hierarchy import renamed

    ids = session_class_ids(bundle, palette)
    head = bundle.head
    return LoadedModel(
        bundle,
        renamed(head, ids),
        SupportSet(bundle.vectors, tuple(ids[class_id] for class_id in bundle.labels)),
        parents={ids[child]: ids[kind] for child, kind in bundle.palette.parents.items()},
    )


def session_class_ids(bundle: Bundle, palette: Palette) -> dict[str, str]:
    """The project's id of each class of a bundle; a class of the same name keeps its id."""
    ids = {}
    for class_id in bundle.palette.ids:
        same = palette.by_name(bundle.palette.by_id(class_id).name)
        same = same or palette.by_name(bundle.palette.full_name(class_id))
        ids[class_id] = class_id if class_id in palette or same is None else same.id
    return ids


def merged_palette(bundle: Bundle, palette: Palette, used: set[str]) -> Palette:
    """The bundle's classes first, then those of this session that have annotations.

    Parameters
    ----------
    used
        Ids of this session's classes that have annotations; none of them is ever dropped.
    """
    ids, merged = session_class_ids(bundle, palette), Palette()
    for cell_class in bundle.palette:
        parent = None if cell_class.parent is None else ids[cell_class.parent]
        merged = merged.insert(replace(cell_class, id=ids[cell_class.id], parent=parent))
    used = used | {palette.kind_of(class_id).id for class_id in used if class_id in palette}
    for cell_class in palette:
        if cell_class.id in used and cell_class.id not in merged:
            kind = cell_class.parent if cell_class.parent not in merged.parents else None
            new = merged.new_class(
                cell_class.own_name, cell_class.colour, class_id=cell_class.id, parent=kind
            )
            merged = merged.insert(new)
    return merged


def check_model(bundle: Bundle, workspace: SessionState) -> None:
    """Refuse a model that does not fit the encoder or the scale of this session.

    Crops and bundled encoders need no check: the session embeds cells as the model requires.

    Raises
    ------
    BundleMismatchError
        With the reason.
    """
    from napari_hemacells.core.encode import encoder_name_of
    from napari_hemacells.core.store import check_compatible, check_modality

    cells, image, embeddings = workspace.cells, workspace.image, workspace.embeddings
    if image is not None:
        check_modality(bundle, image.modality)
    at_hand = bool(bundle.encoder_tensors) or encoder_name_of(bundle.encoder) is not None
    check_compatible(
        bundle,
        bundle.encoder if at_hand or embeddings is None else embeddings.encoder,
        bundle.spec,
        None if cells is None or cells.source == "whole" else cells.diameter,
        None if image is None else image.pixel_size_um,
    )


def other_kind_notice(bundle: Bundle, workspace: SessionState) -> str:
    """Return a sentence if the model did not learn from cells such as these, else ``""``."""
    from napari_hemacells.core.store import other_kind_warning

    if workspace.cells is None:
        return ""
    return other_kind_warning(bundle, whole=workspace.cells.source == "whole")


def make_bundle(workspace: SessionState, name: str) -> Bundle:
    """The current classifier as a model bundle for other images.

    Raises
    ------
    AnnotationError
        Before anything was classified.
    """
    from napari_hemacells.core.store import Bundle

    latest, embeddings, support = (
        workspace.live.latest, workspace.embeddings, workspace.support(),
    )  # fmt: skip
    if latest is None or embeddings is None or support is None:
        raise AnnotationError("There is no model yet: annotate at least one cell of each class.")
    tensors, meta = latest.head.to_tensors()
    image, cells, loaded = workspace.image, workspace.cells, workspace.live.bundle
    same = loaded is not None and loaded.encoder.sha256 == embeddings.encoder.sha256
    return Bundle(
        name=name,
        encoder=embeddings.encoder,
        spec=embeddings.spec,
        palette=workspace.palette,
        head_tensors=tensors,
        head_meta=meta,
        vectors=support.vectors,
        labels=support.labels,
        diameter=None if cells is None or cells.source == "whole" else cells.diameter,
        pixel_size_um=None if image is None else image.pixel_size_um,
        groups=() if image is None else (image.groups,),
        encoder_tensors=loaded.encoder_tensors if loaded is not None and same else {},
        learned_from=embeddings.learned_from,
    )
