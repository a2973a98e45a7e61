"""Pictures of one cell each: a folder of them as a numbered collection, read lazily.

The cell of a picture is called by the picture's number, as a cell of an image is by its label.
"""

from napari_hemacells.core.pictures.collection import CellPictures, PictureChanges
from napari_hemacells.core.pictures.labels import LabelTable, MatchedLabels, read_labels
from napari_hemacells.core.pictures.listing import ListedPicture, PictureListing, list_pictures
from napari_hemacells.core.pictures.reading import in_threads, picture_pixels
from napari_hemacells.core.pictures.table import PictureEntry
from napari_hemacells.core.pictures.whole import look_like_single_cells, whole_picture

__all__ = [
    "CellPictures",
    "LabelTable",
    "ListedPicture",
    "MatchedLabels",
    "PictureChanges",
    "PictureEntry",
    "PictureListing",
    "in_threads",
    "list_pictures",
    "look_like_single_cells",
    "picture_pixels",
    "read_labels",
    "whole_picture",
]
