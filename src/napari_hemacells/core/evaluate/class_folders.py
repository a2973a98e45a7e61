"""A folder of class folders of crops, read and embedded.

Size, nucleus and colour of the cells on pictures of single cells, beside their vectors.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_hemacells.core.annotate.palette import WITHIN
from napari_hemacells.core.crop import estimate_context, from_picture
from napari_hemacells.core.encode.morphology import (
    feature_columns,
    feature_scaling_of,
    fit_feature_scaling,
    measure_pictures,
    with_features,
)
from napari_hemacells.core.errors import ImageError, StorageError
from napari_hemacells.core.files.own_files import without_clutter
from napari_hemacells.core.image import is_image, picture_size
from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.image.reading_options import DEFAULT_READING, ReadingOptions
from napari_hemacells.core.pictures import picture_pixels
from napari_hemacells.core.pictures.listing import OTHER_PICTURES, PARTS, SUFFIXES
from napari_hemacells.core.types import LearnedFrom, Progress
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.encode import EmbeddingCache, Encoder
    from napari_hemacells.core.image.plane_selection import PlaneSelection
    from napari_hemacells.core.types import CropSpec, EncoderInfo

FRAMING_SAMPLE = 100  # pictures that tell how the folder is framed


@dataclass(frozen=True, eq=False)
class ClassFolder:
    """Crops sorted into class folders, embedded.

    Attributes
    ----------
    vectors
        ``(n, dim)`` float32.
    labels
        ``(n,)`` names of the class folders.
    files
        ``(n,)`` where each comes from.
    unreadable
        Sentences about the files that are no whole pictures.
    framing
        Side of the square taken from a picture, divided by the picture's longer side.
    learned_from
        What a model of them learns from.
    reading
        How the pictures were read.
    """

    vectors: NDArray[np.float32]
    labels: tuple[str, ...]
    files: tuple[Path, ...]
    unreadable: tuple[str, ...]
    framing: float
    learned_from: LearnedFrom
    reading: ReadingOptions = DEFAULT_READING


def list_class_folders(folder: Path, *, two_levels: bool = False) -> dict[str, list[Path]]:
    """Return the picture files of each class folder, at any depth; its name is the class.

    Hidden files and results of this program are passed over.

    Parameters
    ----------
    two_levels
        The folders in a class folder are classes within it, called ``lymphocyte ▸ abnormal``;
        pictures beside them have the kind alone.

    Raises
    ------
    ImageError
        There is no such folder, no class folder with a picture in it, a class folder with files
        and no picture among them, or the folders are parts of a data set and no classes.
    """
    if not folder.is_dir():
        if folder.exists():
            raise ImageError(
                f"{folder} is a file: a folder with one sub-folder of crops per class is needed."
            )
        raise ImageError(f"There is no folder {folder}.")
    if parts := part_folders(folder):
        raise ImageError(
            f"{folder} holds the parts {', '.join(part.name for part in parts)} and no classes: "
            f"give the one to learn from, such as {parts[0]}."
        )
    try:
        children = [child for child in without_clutter(folder.iterdir()) if child.is_dir()]
        inside = {child.name: _files_in(child) for child in children}
        if two_levels:
            inside = {name: files for child in children
                      for name, files in _files_within(child).items()}  # fmt: skip
    except OSError as error:
        raise ImageError(f"{error.filename} cannot be read ({error.strerror}).") from error
    classes = {
        name: [file for file in files if _is_picture(file)] for name, files in inside.items()
    }
    for name, files in inside.items():
        place = folder / name.replace(WITHIN, "/")
        if files and not classes[name]:
            kinds = ", ".join(sorted({file.suffix.lower() or file.name for file in files})[:5])
            raise ImageError(
                f"The class folder {place} holds {len(files)} files and no picture that "
                f"is read ({kinds}): convert them to PNG, or move the folder away."
            )
    filled_classes = {name: files for name, files in classes.items() if files}
    if not filled_classes:
        raise ImageError(
            f"{folder} holds no class folders: one sub-folder of crops per class is needed."
        )
    return filled_classes


def _files_within(kind: Path) -> dict[str, list[Path]]:
    """Return the files of a kind's own folder, and of each folder in it."""
    inside = without_clutter(kind.iterdir())
    own = [path for path in inside if path.is_file()]
    below = {
        f"{kind.name}{WITHIN}{path.name}": _files_in(path) for path in inside if path.is_dir()
    }
    return {kind.name: own, **below}


def part_folders(folder: Path) -> list[Path]:
    """Return the folders in it where all are named as parts of a data set, and hold classes.

    Examples of such names are ``train``, ``val``, ``test``.
    """
    if not folder.is_dir():
        return []
    try:
        children = [child for child in without_clutter(folder.iterdir()) if child.is_dir()]
        named = children and all(child.name.casefold() in PARTS for child in children)
        deeper = named and any(inner.is_dir() for child in children for inner in child.iterdir())
    except OSError:
        return []  # listing the classes says so
    return children if deeper else []


def refuse_mixed_parts(folder: Path) -> None:
    """Refuse a folder in which some folders are parts of a data set and others are not.

    Raises
    ------
    ImageError
        So it is; or the parts hold pictures and no class folders.
    """
    if not folder.is_dir() or part_folders(folder):
        return
    children = [child for child in without_clutter(folder.iterdir()) if child.is_dir()]
    parts = [child for child in children if child.name.casefold() in PARTS]
    others = [child for child in children if child not in parts]
    deeper = [part.name for part in parts if any(inner.is_dir() for inner in part.iterdir())]
    if deeper and others:
        raise ImageError(
            f"{folder} holds the parts {', '.join(sorted(deeper))} and beside them "
            f"{', '.join(sorted(child.name for child in others)[:5])}: put all classes into the "
            "parts, or give a folder of classes alone."
        )
    if len(parts) > 1 and not deeper and not others:
        raise ImageError(
            f"{folder} holds the parts {', '.join(sorted(part.name for part in parts))}, and no "
            "class folders in them: sort the pictures of each part into a folder a class."
        )


def picture_files(folder: Path) -> list[Path]:
    """Return the pictures in a folder and in its sub-folders, by name; none without the folder."""
    if not folder.is_dir():
        return []
    return [file for file in _files_in(folder) if _is_picture(file)]


def _files_in(folder: Path) -> list[Path]:
    """Return the files of a folder and of its sub-folders, by name; hidden ones are left out."""
    files: list[Path] = []
    for path in without_clutter(folder.iterdir()):
        if path.is_dir():
            files += _files_in(path)
        elif path.is_file():
            files.append(path)
    return files


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES | OTHER_PICTURES or is_image(
        file
    )  # text is looked into: degrees?


def read_folder(
    folder: Path, spec: CropSpec, encoder: Encoder, cache: EmbeddingCache | None = None
) -> ClassFolder:
    """Return the crops of a folder, embedded: :func:`embed_folder_steps` run to its end."""
    return run_to_end(embed_folder_steps(folder, spec, encoder, cache))


def embed_folder_steps(
    folder: Path,
    spec: CropSpec,
    encoder: Encoder,
    cache: EmbeddingCache | None = None,
    *,
    batch_size: int = 32,
    selection: PlaneSelection = WHOLE_PICTURE,
    two_levels: bool = False,
) -> Generator[Progress, None, ClassFolder]:
    """Return the crops of a folder with their vectors; yield while they are made.

    Pictures may be of any size and format. They are framed as cells of a detector would be, by
    one factor for the whole folder, so that small cells stay small. Files that cannot be read are
    left out and named.

    Parameters
    ----------
    selection
        The plane of stacks, and the channels.
    two_levels
        As of :func:`list_class_folders`.

    Raises
    ------
    ImageError
        No class folders, or not one readable picture.
    """
    classes = list_class_folders(folder, two_levels=two_levels)
    listed = [(file, name) for name, files in classes.items() for file in files]
    return (
        yield from embed_files_steps(
            listed, folder, spec, encoder, cache, batch_size=batch_size, selection=selection
        )
    )


def embed_files_steps(
    listed: list[tuple[Path, str]],
    source: Path,
    spec: CropSpec,
    encoder: Encoder,
    cache: EmbeddingCache | None = None,
    *,
    batch_size: int = 32,
    selection: PlaneSelection = WHOLE_PICTURE,
) -> Generator[Progress, None, ClassFolder]:
    """Return crops with their classes and vectors; yield while they are made.

    Parameters
    ----------
    listed
        Picture files with their classes.
    source
        Folder or table that names them: the cache keeps their vectors under it.
    selection
        The plane of stacks, and the channels.

    Raises
    ------
    ImageError
        Not one readable picture.
    """
    reading = ReadingOptions.for_files([file for file, _ in listed], selection)
    framing = _framing([file for file, _ in listed], spec, reading)
    key = f"{hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:16]}-{framing:.4f}"
    key += "".join(f"-{depth.bits}at{depth.offset}" for depth in reading.depths)
    if selection:
        about = json.dumps(selection.to_dict(), sort_keys=True)
        key += f"-{hashlib.sha256(about.encode()).hexdigest()[:8]}"
    digests = np.array([_digest(file) for file, _ in listed], dtype=np.int64)
    vectors = np.zeros((len(listed), encoder.info.dim), dtype=np.float32)
    known = np.zeros(len(listed), dtype=np.bool_)
    if cache is not None:
        vectors, known = cache.load(key, encoder.info, spec, digests)
    pending, unreadable = np.flatnonzero(~known), list[str]()
    for start in range(0, len(pending), batch_size):
        batch = pending[start : start + batch_size]
        pictures = [_picture(listed[position][0], unreadable, reading) for position in batch]
        whole = [
            position
            for position, pixels in zip(batch, pictures, strict=True)
            if pixels is not None
        ]
        crops = [
            from_picture(picture, spec, framing=framing)
            for picture in pictures
            if picture is not None
        ]
        if crops:
            vectors[whole], known[whole] = encoder.encode(np.stack(crops)), True
        yield Progress(int(known.sum()) + len(unreadable), len(listed), "Embedding crops")
    if not known.any():
        raise ImageError(f"No picture in {source} can be read. {unreadable[0]}")
    kept = [listed[position] for position in np.flatnonzero(known)]
    if cache is not None and len(pending):
        try:
            cache.save(key, encoder.info, spec, digests[known], vectors[known])
        except StorageError as error:
            yield Progress(len(listed), len(listed), str(error))
    files, labels = (tuple(part) for part in zip(*kept, strict=True))
    learned_from = _learned_from(files, spec, framing, reading)
    return ClassFolder(
        vectors[known], labels, files, tuple(unreadable), framing, learned_from, reading
    )


def _framing(files: list[Path], spec: CropSpec, reading: ReadingOptions) -> float:
    """Return the part of a picture's side that shows the cell with the margin of `spec`.

    Thermograms are taken whole.
    """
    sample = files[:: -(-len(files) // FRAMING_SAMPLE)]
    opened = (_picture(file, [], reading) for file in sample)
    pictures = [picture for picture in opened if picture is not None]
    if pictures and all(picture.ndim == 2 for picture in pictures):
        return 1.0
    return spec.context / estimate_context(pictures)


def _learned_from(
    files: Sequence[Path], spec: CropSpec, framing: float, reading: ReadingOptions
) -> LearnedFrom:
    """Return what a model of these pictures, the first of which can be read, learns from."""
    sizes = [
        max(picture_size(file, reading.selection))
        for file in files[:: -(-len(files) // FRAMING_SAMPLE)]
    ]
    known = [side for side in sizes if side]
    side = int(np.median(known)) if known else None
    if picture_pixels(files[0], reading.depths, reading.selection).ndim == 2:
        return LearnedFrom("pictures", side=side, modality="temperature")
    return LearnedFrom("pictures", context=round(spec.context / framing, 4), side=side)


def _picture(file: Path, unreadable: list[str], reading: ReadingOptions) -> NDArray[Any] | None:
    """Return colours or degrees, or ``None`` with the reason added to `unreadable`."""
    try:
        return picture_pixels(file, reading.depths, reading.selection)
    except ImageError as error:
        unreadable.append(f"{file.parent.name}/{file.name}: {error}")
    except Exception as error:  # noqa: BLE001  # whatever a decoder says: this file only
        unreadable.append(f"{file.parent.name}/{file.name} cannot be read ({error}).")
    return None


def _digest(file: Path) -> NDArray[np.int64]:
    """``(4,)`` SHA-256 of the file's bytes; zeros of one that cannot be read."""
    try:
        content = file.read_bytes()
    except OSError:
        return np.zeros(4, dtype=np.int64)
    return np.frombuffer(hashlib.sha256(content).digest(), dtype="<i8")


def append_measured_features(
    vectors: NDArray[np.float32],
    files: Sequence[Path],
    encoder: EncoderInfo,
    reading: ReadingOptions | None = None,
) -> tuple[NDArray[np.float32], EncoderInfo]:
    """Return the vectors with what is measured on their pictures, and what to call both."""
    features = measure_pictures(_read_pictures(files, reading), len(files))
    how = fit_feature_scaling(vectors, features.names)
    joined = np.concatenate([vectors, feature_columns(features, how)], axis=1)
    return joined, with_features(encoder, how)


def measure_features(
    files: Sequence[Path], encoder: EncoderInfo, reading: ReadingOptions | None = None
) -> NDArray[np.float32]:
    """``(n, m)`` what a model's encoder wants measured on pictures; m is 0 if it wants nothing."""
    how = feature_scaling_of(encoder)
    if how is None:
        return np.zeros((len(files), 0), dtype=np.float32)
    return feature_columns(measure_pictures(_read_pictures(files, reading), len(files)), how)


def _read_pictures(
    files: Sequence[Path], reading: ReadingOptions | None
) -> Generator[NDArray[np.uint8], None, None]:
    how = reading or ReadingOptions.for_files(files)
    for file in files:
        yield cast("NDArray[np.uint8]", how.read_pixels(file))
