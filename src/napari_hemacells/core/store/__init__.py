"""Project folder, model bundle, exports, report."""

from napari_hemacells.core.store.bundle import Bundle, check_compatible, load_bundle, save_bundle
from napari_hemacells.core.store.cells_file import write_csv
from napari_hemacells.core.store.export import (
    ClassifiedImage,
    write_coco,
    write_crops,
    write_labels_tif,
)
from napari_hemacells.core.store.learned_from import (
    check_modality,
    describe_learned_from,
    framing_warning,
    match_framing,
    other_kind_warning,
)
from napari_hemacells.core.store.overlay import class_overlay, write_overlay
from napari_hemacells.core.store.picture_classes import classify_pictures_steps, pictures_table
from napari_hemacells.core.store.project import (
    Project,
    annotation_state,
    corrected_cells,
    default_folder,
    find_project,
    holds_project,
    projects_root,
)
from napari_hemacells.core.store.report import write_report
from napari_hemacells.core.store.schema import StoredImage
from napari_hemacells.core.store.tables import (
    cells_table,
    counts_table,
    detected_table,
    shown_classes,
)

__all__ = [
    "Bundle",
    "ClassifiedImage",
    "Project",
    "StoredImage",
    "annotation_state",
    "cells_table",
    "check_compatible",
    "check_modality",
    "class_overlay",
    "classify_pictures_steps",
    "corrected_cells",
    "counts_table",
    "default_folder",
    "describe_learned_from",
    "detected_table",
    "find_project",
    "framing_warning",
    "holds_project",
    "load_bundle",
    "match_framing",
    "other_kind_warning",
    "pictures_table",
    "projects_root",
    "save_bundle",
    "shown_classes",
    "write_coco",
    "write_crops",
    "write_csv",
    "write_labels_tif",
    "write_overlay",
    "write_report",
]
