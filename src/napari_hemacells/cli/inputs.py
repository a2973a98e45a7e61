"""The images that a command works on, and the names of their results."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from napari_hemacells.core.image.files import image_name, is_image
from napari_hemacells.core.image.ome_zarr import is_zarr

MAX_NAME_BYTES = 160  # of a result's name: file systems allow 255 with endings and temporary parts
OWN_RESULTS = (".labels.tif", ".overlay.png")


@dataclass(frozen=True)
class InputImage:
    """An image to work on, and the name of its results."""

    path: Path
    name: str


def find_images(given: Sequence[str]) -> list[Path]:
    """Return the image files that files, folders and patterns stand for, without duplicates.

    A folder stands for the images directly in it, except the results of an earlier run; an
    OME-Zarr folder is one image; a pattern stands for the images it matches (``**`` for any
    depth). Files that do not exist stay in the list: reading them raises the error.
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
        return _images_in(path.iterdir()) or [path]
    if has_magic(text) and not path.exists():
        # Path.glob refuses patterns that start at the root or climb with "..".
        matches = glob(text, recursive=True)  # noqa: PTH207
        return _images_in(map(Path, matches)) or [path]
    return [path]


def _images_in(paths: Iterable[Path]) -> list[Path]:
    return sorted(
        path
        for path in paths
        if is_image(path)
        and not path.name.lower().endswith(OWN_RESULTS)
        and not any(parent.suffix.lower() == ".zarr" for parent in path.parents)
    )


def name_results(paths: Sequence[Path]) -> list[InputImage]:
    """Return the images with a unique name for the results of each.

    The name is the file's stem (``slide`` for ``slide.ome.zarr``). Images that share a stem get
    the name of their folder in front (``slide2_field1``). Those that still share one, such as
    ``field1.png`` and ``field1.tif``, get a number at the end. Very long names are cut.
    """
    stems = [shorten(image_name(path)) for path in paths]
    names = _rename_shared(stems, lambda index: f"{_folder(paths[index])}{stems[index]}")
    taken: Counter[str] = Counter()
    sources = []
    for path, name in zip(paths, names, strict=True):
        sources.append(InputImage(path, _free_name(shorten(name), taken)))
    return sources


def shorten(name: str) -> str:
    """Return a name that is short enough for a file with an ending behind it."""
    return name.encode(errors="surrogateescape")[:MAX_NAME_BYTES].decode(errors="ignore")


def _folder(path: Path) -> str:
    name = path.resolve().parent.name
    return f"{name}_" if name else ""


def _rename_shared(names: list[str], rename: Callable[[int], str]) -> list[str]:
    counts = Counter(name.casefold() for name in names)
    return [
        rename(index) if counts[name.casefold()] > 1 else name for index, name in enumerate(names)
    ]


def _free_name(name: str, taken: Counter[str]) -> str:
    free, number = name, 1
    while taken[free.casefold()]:
        number += 1
        free = f"{name}_{number}"
    taken[free.casefold()] += 1
    return free
