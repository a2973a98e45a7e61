"""The images that a command works on, and the names of their results."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.files.fsio import distinct_names
from napari_hemacells.core.files.own_files import without_clutter
from napari_hemacells.core.image.files import image_name, is_image
from napari_hemacells.core.image.ome_zarr import is_zarr

MAX_NAME_BYTES = 160  # of a result's name: file systems allow 255 with endings and temporary parts
MAX_FOLDER_BYTES = 40  # of its folder's name before it


@dataclass(frozen=True)
class InputImage:
    """An image to work on, and the name of its results."""

    path: Path
    name: str


def find_images(given: Sequence[str]) -> list[Path]:
    """Return the image files that files, folders and patterns stand for, without duplicates.

    A folder stands for the images directly in it, without results of an earlier run and hidden
    files; an OME-Zarr folder is an image itself; a pattern stands for the images it matches,
    ``**`` for any depth. What does not exist stays in the list: reading it says so.
    """
    images: dict[Path, Path] = {}
    for text in given:
        for path in _expand(text):
            images.setdefault(path.resolve(), path)
    return list(images.values())


def _expand(text: str) -> Iterable[Path]:
    path = Path(text)
    if is_image(path) or is_zarr(path):
        return [path]
    if path.is_dir():
        try:
            inside = list(path.iterdir())
        except OSError as error:
            raise ImageError(f"The folder {path} cannot be read ({error.strerror}).") from error
        return _images_in(inside) or [path]
    if has_magic(text) and not path.exists():
        # Path.glob refuses patterns that start at the root or climb with "..".
        matches = glob(text, recursive=True)  # noqa: PTH207
        return _images_in(map(Path, matches)) or [path]
    return [path]


def _images_in(paths: Iterable[Path]) -> list[Path]:
    return sorted(
        path
        for path in without_clutter(paths)
        if is_image(path) and not any(parent.suffix.lower() == ".zarr" for parent in path.parents)
    )


def name_results(paths: Sequence[Path]) -> list[InputImage]:
    """Return the images with a unique name for the results of each.

    The name is the file's stem (``slide`` for ``slide.ome.zarr``). Images that share a stem get
    the name of their folder in front (``slide2_field1``). Those that still share one, such as
    ``field1.png`` and ``field1.tif``, get a number at the end. Very long names are cut.
    """
    stems = [shorten(image_name(path)) for path in paths]
    folders = [shorten(path.resolve().parent.name, MAX_FOLDER_BYTES) for path in paths]
    return [
        InputImage(path, name)
        for path, name in zip(paths, distinct_names(stems, folders), strict=True)
    ]


def shorten(name: str, most: int = MAX_NAME_BYTES) -> str:
    """Return a name that is short enough for a file with an ending behind it."""
    return name.encode(errors="surrogateescape")[:most].decode(errors="ignore")
