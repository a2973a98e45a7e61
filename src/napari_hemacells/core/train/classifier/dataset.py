"""What is learned from: pictures of single cells with a class and, where known, a group.

The order in which crops are learned from, and what a class counts for in the loss.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from napari_hemacells.core.errors import ImageError, TrainingError
from napari_hemacells.core.evaluate import list_class_folders
from napari_hemacells.core.evaluate.class_folders import (
    part_folders,
    picture_files,
    refuse_mixed_parts,
)
from napari_hemacells.core.files.fsio import file_name, write_bytes
from napari_hemacells.core.files.text_tables import read_table, read_text_file, write_table
from napari_hemacells.core.temperature import normalise_patient_id, parse_dmr_ir_name
from napari_hemacells.core.types import CropSpec, LearnedFrom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.train.classifier.config import Sampling

SplitPart: TypeAlias = Literal["train", "validation", "test", "unused"]
LABEL_NAMES = ("label", "class")
GROUP_NAMES = ("group", "patient", "slide", "image")  # the first that is there counts
PATH_NAMES = ("path", "file")
PART_NAMES = ("split", "part", "subset")
PART_WORDS: dict[str, SplitPart] = {
    **dict.fromkeys(("train", "training", "learn"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "validate", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "holdout", "held-out", "held out"), "test"),
}
TABLE, SPEC = "examples.csv", "crops.json"
MAX_SPEC_BYTES = 2**20
MAX_CROP_SIDE, MAX_CONTEXT = 4096, 100.0  # pixels; times a cell


@dataclass(frozen=True)
class Example:
    """A picture file of one cell.

    Attributes
    ----------
    name
        How reports name it: the file relative to the folder or table it came from.
    group
        What a split must keep together; empty where unknown.
    part
        ``train``, ``validation`` or ``test`` where the user has chosen; else empty.
    """

    path: Path
    label: str
    group: str = ""
    name: str = ""
    part: SplitPart | Literal[""] = ""


@dataclass(frozen=True)
class Examples:
    """The pictures to learn from.

    Attributes
    ----------
    classes
        Their names, sorted: the order of every probability.
    source
        The folder or table they come from.
    """

    items: tuple[Example, ...]
    source: Path

    def __len__(self) -> int:
        return len(self.items)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that occur, sorted by name."""
        return tuple(sorted({example.label for example in self.items}))

    @property
    def counts(self) -> dict[str, int]:
        """Pictures of each class."""
        counts = Counter(example.label for example in self.items)
        return {name: counts[name] for name in self.classes}

    @property
    def grouped(self) -> bool:
        """Whether groups are known; a picture without one is a group of its own."""
        return any(example.group for example in self.items)

    def targets(self) -> NDArray[np.int64]:
        """``(n,)`` place of each picture's class in :attr:`classes`."""
        index_of_class = {name: number for number, name in enumerate(self.classes)}
        return np.array([index_of_class[example.label] for example in self.items], dtype=np.int64)


def read_examples(
    source: str | Path, label_pattern: str = "", *, two_levels: bool = False
) -> Examples:
    """Return what a folder of class folders, or a CSV of paths and labels, names.

    Parameters
    ----------
    label_pattern
        A regular expression: what its first group (all of it without a group) finds in a file's
        name is the class, instead of the folder's or the table's. A folder then needs no class
        folders.
    two_levels
        The folders in a class folder are classes within it
        (:func:`~napari_hemacells.core.evaluate.list_class_folders`).

    The columns of a CSV: ``path`` (relative to the table), ``label``, and ``group`` or
    ``patient`` or ``slide`` or ``image``, if known, and ``split`` (train, validation, test) where
    it is decided; a folder of such parts with class folders in them decides it too. Thermograms
    without a group belong to the patient that their names tell. No picture is opened yet.

    Raises
    ------
    TrainingError
        The source does not exist, names nothing to learn from, or has a row that is not complete;
        or a file's name does not fit the pattern.
    """
    path = Path(source).expanduser()
    if label_pattern:
        return _labelled_by_name(path, label_pattern)
    if path.is_file() and path.suffix.lower() == ".csv":
        return Examples(tuple(_read_table(path)), path)
    if (path / TABLE).is_file():
        return Examples(tuple(_read_table(path / TABLE)), path)
    try:
        parts = part_folders(path)
        refuse_mixed_parts(path)
        if not parts:
            return Examples(tuple(_in_folders(path, path, "", two_levels=two_levels)), path)
        listed = [
            example
            for folder in parts
            for example in _in_folders(
                folder, path, PART_WORDS[folder.name.casefold()], two_levels=two_levels
            )
        ]
    except ImageError as error:
        raise TrainingError(str(error)) from error
    return Examples(tuple(listed), path)


def _labelled_by_name(path: Path, pattern: str) -> Examples:
    """Return the pictures of a table, of class folders or of a folder, classed by their names."""
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise TrainingError(
            f"--label-pattern {pattern!r} is no regular expression ({error}): for names such as "
            "SNE_123.jpg take ^([A-Z]+)_."
        ) from error
    try:
        listed = read_examples(path).items
    except TrainingError:
        files = picture_files(path)
        if not files:
            raise
        names = [file.relative_to(path).as_posix() for file in files]
        listed = tuple(
            Example(file, "", _patient_of(file.name), name)
            for file, name in zip(files, names, strict=True)
        )
    labelled, without = [], []
    for example in listed:
        found = search(example.path.name)
        label = found and (found.group(1) if found.re.groups else found.group(0))
        if label and label.strip():
            labelled.append(replace(example, label=label.strip()))
        else:
            without.append(example.name)
    if without:
        raise TrainingError(
            f"--label-pattern {pattern!r} finds no class in {len(without)} of {len(listed)} "
            f"names, such as “{without[0]}”: correct the pattern, or move these pictures away."
        )
    return Examples(tuple(labelled), path)


def _in_folders(
    folder: Path, source: Path, part: SplitPart | Literal[""], *, two_levels: bool
) -> list[Example]:
    return [
        Example(
            file, label, _patient_of(file.name), file.relative_to(source).as_posix(), part=part
        )
        for label, files in list_class_folders(folder, two_levels=two_levels).items()
        for file in files
    ]


def check_examples(examples: Examples) -> None:
    """Refuse what no classifier can be learned from.

    Raises
    ------
    TrainingError
        Fewer than two classes, a class with one picture, or a class whose pictures all come from
        one group (so that it cannot be both learned and checked).
    """
    if len(examples.classes) < 2:
        named = f" (only “{examples.classes[0]}”)" if examples.classes else ""
        raise TrainingError(
            f"Two classes are needed to learn to tell them apart{named}: annotate cells of "
            "another class, or add a second class folder."
        )
    for name, count in examples.counts.items():
        if count < 2:
            raise TrainingError(
                f"The class “{name}” has only one picture: at least two are needed, one to learn "
                "from and one to check with. Add pictures, or leave the class out."
            )


def check_groups(examples: Examples) -> None:
    """Refuse groups that make a check impossible.

    Raises
    ------
    TrainingError
        All pictures of a class come from one group.
    """
    if not examples.grouped:
        return
    for name in examples.classes:
        own = [example.group for example in examples.items if example.label == name]
        groups = set(own)
        if len(groups) == 1 and all(groups):
            raise TrainingError(
                f"All pictures of “{name}” come from one group ({groups.pop()}): the class can be "
                "learned or checked, not both. Add pictures of another patient or slide, or split "
                "cell by cell with --ungrouped and read the figures with care."
            )


def write_examples(
    folder: Path,
    crops: NDArray[np.uint8],
    labels: Sequence[str],
    groups: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> Path:
    """Write ``(n, size, size, 3)`` crops as PNG with a table, to be read by `read_examples`.

    `names` say which cell each is, such as ``slide3-17``; files and reports carry them.

    Raises
    ------
    StorageError
        The folder cannot be written.
    """
    import io

    from PIL import Image

    rows = []
    for index, (crop, label) in enumerate(zip(crops, labels, strict=True)):
        stem = file_name(names[index] if names else f"{index:06d}")
        name = f"{file_name(label)}/{stem}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture = io.BytesIO()
        Image.fromarray(crop).save(picture, format="PNG", compress_level=1)
        write_bytes(folder / name, picture.getvalue())
        rows.append((name, label, groups[index] if groups else ""))
    write_table(folder / TABLE, ("path", "label", "group"), rows)
    return folder / TABLE


def write_spec(folder: Path, spec: CropSpec, learned_from: LearnedFrom | None = None) -> None:
    """Note beside crops how they were cut, and from what."""
    about = {} if learned_from is None else {"learned_from": learned_from.to_dict()}
    write_bytes(folder / SPEC, json.dumps(spec.to_dict() | about).encode())


def read_spec(source: Path) -> CropSpec | None:
    """Return how crops were cut, where that is noted beside them; ``None`` for other pictures."""
    file = (source if source.is_dir() else source.parent) / SPEC
    try:
        fields = json.loads(read_text_file(file, MAX_SPEC_BYTES))
        spec = CropSpec(int(fields["size"]), float(fields["context"]))
    except Exception:  # noqa: BLE001  # whatever is wrong with it: it says nothing
        return None
    sane = 0 < spec.size <= MAX_CROP_SIDE and 0 < spec.context <= MAX_CONTEXT
    return spec if sane else None


def read_learned_from(source: Path) -> LearnedFrom:
    """Return what crops beside a note of :func:`write_spec` were cut from; else detected cells."""
    file = (source if source.is_dir() else source.parent) / SPEC
    try:
        return LearnedFrom(**json.loads(read_text_file(file, MAX_SPEC_BYTES))["learned_from"])
    except Exception:  # noqa: BLE001  # whatever is wrong with it: it says nothing
        return LearnedFrom("cells")


def digest(data: bytes) -> str:
    """Return 16 hexadecimal digits of a file's content: its identity in a split."""
    return hashlib.sha256(data).hexdigest()[:16]


def _read_table(table: Path) -> list[Example]:
    try:
        read = read_table(table)
    except (OSError, ValueError) as error:
        raise TrainingError(f"The table {table} cannot be read ({error}).") from error
    columns = {name.casefold(): name for name in read.columns}
    path, label = _column(columns, PATH_NAMES), _column(columns, LABEL_NAMES)
    group, part = _column(columns, GROUP_NAMES), _column(columns, PART_NAMES)
    if path is None or label is None:
        raise TrainingError(
            f"The table {table} needs the columns path and label; it has "
            f"{', '.join(read.columns[:12])}."
        )
    examples = []
    for (line, _), row in zip(read.rows, read.records(), strict=True):
        name, class_name = row[path].strip(), row[label].strip()
        if not name or not class_name:
            raise TrainingError(
                f"{table}, line {line}: the {'label' if name else 'path'} is missing. Complete "
                "the row, or remove it."
            )
        examples.append(
            Example(
                _file_beside(table, name),
                class_name,
                _group(row, group) or _patient_of(name),
                name=name,
                part=_part(row, part, f"{table}, line {line}"),
            )
        )
    return examples


def _file_beside(table: Path, name: str) -> Path:
    """Return the file that a table names; its folders may be written as on Windows."""
    file = table.parent / name
    return table.parent / name.replace("\\", "/") if "\\" in name and not file.exists() else file


def _part(row: dict[str, str], column: str | None, where: str) -> SplitPart | Literal[""]:
    word = "" if column is None else row[column].strip().casefold()
    if word and word not in PART_WORDS:
        raise TrainingError(f"{where}: {column} is “{word}”, none of train, validation, test.")
    return PART_WORDS[word] if word else ""


def _patient_of(name: str) -> str:
    """Return the patient of a thermogram's name, ``""`` for a name of another kind."""
    frame = parse_dmr_ir_name(name)
    return "" if frame is None else f"patient {normalise_patient_id(frame.patient)}"


def _group(row: dict[str, str], column: str | None) -> str:
    return "" if column is None else (row[column] or "").strip()


def _column(columns: dict[str, str], names: Sequence[str]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)


def epoch_order(
    targets: NDArray[np.int64], sampling: Sampling, *, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Return the places to go through in an epoch: the same for the same seed and epoch.

    ``balanced`` draws as many as there are, each class as often; ``oversample`` repeats those of
    the rarer classes until each has as many as the largest.
    """
    rng = np.random.default_rng([seed, epoch])
    if sampling in {"none", "weights"}:
        return rng.permutation(len(targets)).astype(np.int64)
    own = [np.flatnonzero(targets == target) for target in np.unique(targets)]
    if sampling == "balanced":
        sizes = np.full(len(own), len(targets) // len(own))
        sizes[rng.permutation(len(own))[: len(targets) % len(own)]] += 1
    else:
        sizes = np.full(len(own), max(map(len, own)))
    drawn = [_repeat(rng, places, int(size)) for places, size in zip(own, sizes, strict=True)]
    return rng.permutation(np.concatenate(drawn)).astype(np.int64)


def epoch_length(targets: NDArray[np.int64], sampling: Sampling) -> int:
    """Return how many crops an epoch goes through."""
    if sampling != "oversample":
        return len(targets)
    counts = np.unique(targets, return_counts=True)[1]
    return int(counts.max() * len(counts))


def class_weights(targets: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """``(classes,)`` weights in the loss: one over each class's share, 1 in the mean of crops."""
    counts = np.maximum(np.bincount(targets, minlength=classes), 1)
    return (len(targets) / (classes * counts)).astype(np.float32)


def _repeat(rng: np.random.Generator, places: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Return so many of the places: all of them as often as can be, then some of them."""
    whole = [rng.permutation(places) for _ in range(-(-size // len(places)))]
    return np.concatenate(whole)[:size]
