"""Which images a command works on, and under which names their results are kept."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
OWN_RESULTS = (".labels.tif", ".overlay.png")


@dataclass(frozen=True)
class Source:
    """An image to work on, and the name of its results."""

    path: Path
    name: str


def find_images(given: Sequence[str]) -> list[Path]:
    """Return the image files that files, folders and patterns stand for, each once.

    A folder stands for the images directly in it, without results of an earlier run; a pattern
    for the files it matches, ``**`` for any depth. What does not exist stays in the list: reading
    it says so.
    """
    found: dict[Path, Path] = {}
    for text in given:
        for path in _expand(text):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _expand(text: str) -> Iterable[Path]:
    path = Path(text)
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
        if path.suffix.lower() in SUFFIXES
        and not path.name.lower().endswith(OWN_RESULTS)
        and path.is_file()
    )


def name_results(paths: Sequence[Path]) -> list[Source]:
    """Return the images with a name for each one's results, no two alike.

    The name is the file's stem. Images that share a stem get their folder's name before it
    (``slide2_field1``); those that still share one, such as ``field1.png`` beside
    ``field1.tif``, get a number behind it.
    """
    names = [path.stem for path in paths]
    names = _rename_shared(names, lambda place: f"{_folder(paths[place])}{paths[place].stem}")
    taken: Counter[str] = Counter()
    sources = []
    for path, name in zip(paths, names, strict=True):
        sources.append(Source(path, _free_name(name, taken)))
    return sources


def _folder(path: Path) -> str:
    name = path.resolve().parent.name
    return f"{name}_" if name else ""


def _rename_shared(names: list[str], rename: Callable[[int], str]) -> list[str]:
    counts = Counter(name.casefold() for name in names)
    return [
        rename(place) if counts[name.casefold()] > 1 else name for place, name in enumerate(names)
    ]


def _free_name(name: str, taken: Counter[str]) -> str:
    free, number = name, 1
    while taken[free.casefold()]:
        number += 1
        free = f"{name}_{number}"
    taken[free.casefold()] += 1
    return free
