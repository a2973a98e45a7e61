"""Saving that is killed, interrupted or refused at any moment: what was saved is still there.

::

    python benchmarks/kill_saves.py [--random 200] [--seed 0] [--json FILE]

For each kind of file, a process saves one version after another and says when each is saved. It is
ended in four ways: by ``kill -9`` at a random moment; by ``kill -9`` before each call that touches
the disk in turn; by Ctrl-C at each such call; and by a disk that refuses this and all later calls
of a kind. Then everything is opened again: it must hold the last version that was said to be
saved, or the one after it, whole, and no hidden file may be left. POSIX only.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from safetensors.numpy import save as _load_safetensors  # noqa: F401  # before the forks

from napari_hemacells.core.annotate import SetLabels, default_palette, open_history
from napari_hemacells.core.encode import EmbeddingCache
from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.store import (
    Bundle,
    Project,
    annotation_state,
    load_bundle,
    save_bundle,
    write_csv,
)
from napari_hemacells.core.store.schema import StoredImage
from napari_hemacells.core.types import CELL_COLUMNS, CellRef, Cells, CropSpec, EncoderInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Save = Callable[[int], object]

CALLS = (
    "replace", "rename", "open", "write", "fsync", "mkdir", "unlink", "rmdir", "ftruncate", "link",
)  # fmt: skip
KEY = "a" * 16
LONGEST = 0.04  # seconds before a random kill
ENCODER = EncoderInfo(name="fake", sha256="0" * 64, dim=4)


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes
    ----------
    start
        Given a folder, what saves a version in it.
    find
        The version that a folder holds, 0 for none; raises where it is not whole.
    """

    name: str
    start: Callable[[Path], Save]
    find: Callable[[Path], int]


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=200, help="random kills of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    dice = random.Random(options.seed)  # noqa: S311
    table = [row for kind in KINDS for row in measure(kind, options.random, dice)]
    print(f"{'kind':<16}{'ended by':<26}{'runs':>6}{'losses':>8}{'leftovers':>11}")
    for row in table:
        print("{kind:<16}{ended_by:<26}{runs:>6}{losses:>8}{leftovers:>11}".format(**row))
    runs, losses = (sum(row[key] for row in table) for key in ("runs", "losses"))
    print(f"{'all':<42}{runs:>6}{losses:>8}{sum(row['leftovers'] for row in table):>11}")
    if options.json:
        options.json.write_text(json.dumps(table, indent=1))
    sys.exit(1 if losses or any(row["leftovers"] for row in table) else 0)


def measure(kind: Kind, count: int, dice: random.Random) -> Iterator[dict[str, object]]:
    """Yield a row for each way to end a process that saves files of this kind."""
    ways = {
        "kill at random": [Ending(after=dice.uniform(0, LONGEST)) for _ in range(count)],
        "kill at each step": _each_step("kill"),
        "Ctrl-C at each step": _each_step("interrupt"),
        "refused from each step on": _each_step("refuse"),
    }
    for name, endings in ways.items():
        found: Counter[str] = Counter()
        for ending in endings:
            with tempfile.TemporaryDirectory() as temporary:
                reached, what = _run(kind, Path(temporary), ending)
            if not reached:
                break
            found.update(what)
            found["runs"] += 1
        yield {
            "kind": kind.name, "ended_by": name, "runs": found["runs"],
            "losses": found["lost"], "leftovers": found["left"],
        }  # fmt: skip


@dataclass(frozen=True)
class Ending:
    """How a process ends: after some seconds, or at a call of the second save."""

    after: float = 0.0
    step: int = 0
    way: str = ""


def _each_step(way: str) -> Iterator[Ending]:
    step = 0
    while True:
        step += 1
        yield Ending(step=step, way=way)


def _run(kind: Kind, folder: Path, ending: Ending) -> tuple[bool, list[str]]:
    """Let a process save and end; whether it came to that, and what is wrong afterwards."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _save_until_the_end(kind, folder, ending, writing)
    os.close(writing)
    if not ending.step:
        time.sleep(ending.after)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read().split(b"\n")[:-1]
    os.waitpid(child, 0)
    reached = b"survived" not in said
    saved = max((int(one) for one in said if one.isdigit()), default=0)
    wrong = []
    try:
        found = kind.find(folder)
        if found not in {saved, saved + 1}:
            wrong.append("lost")
    except (HemaCellsError, OSError, ValueError) as error:
        wrong.append("lost")
        print(f"{kind.name}: {error}", file=sys.stderr)
    if any(path.name.startswith(".") for path in folder.rglob("*")):
        wrong.append("left")
    return reached, wrong


def _save_until_the_end(kind: Kind, folder: Path, ending: Ending, writing: int) -> None:
    tell, reached = os.write, list[str]()
    try:
        save = kind.start(folder)
        version = 0
        while True:
            version += 1
            if version == 2 and ending.step:
                _end_at(ending, reached)
            save(version)
            tell(writing, b"%d\n" % version)
            if version == 2 and ending.step:
                break
    except (KeyboardInterrupt, HemaCellsError):
        pass
    finally:
        if ending.step and not reached:
            tell(writing, b"survived\n")
        os._exit(0)


def _end_at(ending: Ending, reached: list[str]) -> None:
    """Let a call to the system, from now on, end or trouble this process.

    ``reached`` takes the name of the call once that has happened.
    """
    calls = 0

    def troubled(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal calls
            calls += 1
            if calls == ending.step:
                if ending.way == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                if ending.way == "interrupt":
                    reached.append("")
                    raise KeyboardInterrupt
                reached.append(name)
            if name in reached:
                raise OSError(errno.EIO, "Input/output error")
            return real(*args, **kwargs)

        return call

    for name in CALLS:
        setattr(os, name, troubled(name, getattr(os, name)))


# --- the kinds -----------------------------------------------------------------------------------


def _bundle(version: int) -> Bundle:
    return Bundle(
        name=str(version), encoder=ENCODER, spec=CropSpec(), palette=default_palette(),
        head_tensors={"w": np.full((4, 3), version, np.float32)}, head_meta={"kind": "fake"},
        vectors=np.zeros((3, 4), np.float32), labels=("rbc", "wbc", "platelets"),
    )  # fmt: skip


def _find_bundle(folder: Path) -> int:
    if not any(folder.iterdir()):
        return 0
    try:
        bundle = load_bundle(folder / "model")
    except HemaCellsError:
        # The first save did not come to its end: nothing was there before.
        error = str(sys.exc_info()[1])
        if "no model bundle" in error or "There is no model" in error:
            return 0
        raise
    if not (bundle.head_tensors["w"] == int(bundle.name)).all():
        raise ValueError("two versions mixed")
    return int(bundle.name)


def _image() -> StoredImage:
    return StoredImage(key=KEY, name="0", shape=(64, 64))


def _cells(version: int) -> Cells:
    labels = np.zeros((64, 64), np.int32)
    labels[:8, :8] = 1
    row = (1, "RBC", 0.9, 3.5, 3.5, 0, 0, 8, 8, 64)
    return Cells(labels, pd.DataFrame([row], columns=list(CELL_COLUMNS)), diameter=float(version))


def _project(folder: Path) -> Project:
    project = Project.create(folder / "project", "0")
    project._put(_image())  # noqa: SLF001
    return project


def _opened(folder: Path) -> Project | None:
    made = (folder / "project" / "project.json").exists()
    return Project.open(folder / "project") if made or _is_swept(folder) else None


def _is_swept(folder: Path) -> bool:
    """Clear up what the making of a project left, which no opening of it can."""
    from napari_hemacells.core.files.fsio import sweep

    sweep(folder, ["project"])
    return False


def _start_update(folder: Path) -> Save:
    project = _project(folder)
    return lambda version: project.update(name=str(version))


def _find_update(folder: Path) -> int:
    project = _opened(folder)
    return 0 if project is None else int(project.name)


def _start_cells(folder: Path) -> Save:
    project = _project(folder)
    return lambda version: project.save_cells(KEY, _cells(version))


def _find_cells(folder: Path) -> int:
    project = _opened(folder)
    there = project is not None and project.images and project.has_cells(KEY)
    return int(project.load_cells(KEY).diameter) if there else 0


def _start_clicks(folder: Path) -> Save:
    history = _project(folder).open_history("ann")
    return lambda version: history.do(
        SetLabels(((CellRef(KEY, version), 1.0, 1.0),), "wbc", "ann")
    )


def _find_clicks(folder: Path) -> int:
    project = _opened(folder)
    if project is None:
        return 0
    history = open_history(project.journal_path, "ann")
    history.close()
    cells = sorted(ref.cell for ref in annotation_state(project).by_annotator.get("ann", ()))
    if cells != list(range(1, len(cells) + 1)):
        raise ValueError("a click is missing")
    return len(cells)


def _start_copies(folder: Path) -> Save:
    project = _project(folder)
    project.save_cells(KEY, _cells(7))
    return lambda version: project.copy_to(folder / f"copy-{version}")


def _find_copies(folder: Path) -> int:
    project = _opened(folder)
    copies = 0
    for copy in sorted(folder.glob("copy-*")):
        copies += int(Project.open(copy).load_cells(KEY).diameter) == 7
    if copies and (project is None or project.load_cells(KEY).diameter != 7):
        raise ValueError("the original is not whole")
    _is_swept(folder)
    return copies


def _start_embeddings(folder: Path) -> Save:
    cache, boxes = EmbeddingCache(folder), np.array([[0, 0, 8, 8]])
    return lambda version: cache.save(
        KEY, ENCODER, CropSpec(), boxes, np.full((1, 4), version, np.float32)
    )


def _find_embeddings(folder: Path) -> int:
    _is_swept(folder)
    vectors, known = EmbeddingCache(folder).load(
        KEY, ENCODER, CropSpec(), np.array([[0, 0, 8, 8]])
    )
    return int(vectors[0, 0]) if known.all() else 0


def _start_table(folder: Path) -> Save:
    return lambda version: write_csv(folder / "cells.csv", pd.DataFrame({"v": [version] * 500}))


def _find_table(folder: Path) -> int:
    _is_swept(folder)
    file = folder / "cells.csv"
    values = pd.read_csv(file)["v"] if file.exists() else pd.Series([0] * 500)
    if len(values) != 500 or (values != values[0]).any():
        raise ValueError("half a table")
    return int(values[0])


KINDS = (
    Kind("model", lambda folder: lambda version: save_bundle(folder / "model", _bundle(version)),
         _find_bundle),
    Kind("project.json", _start_update, _find_update),
    Kind("click", _start_clicks, _find_clicks),
    Kind("cells", _start_cells, _find_cells),
    Kind("embeddings", _start_embeddings, _find_embeddings),
    Kind("Save as", _start_copies, _find_copies),
    Kind("table", _start_table, _find_table),
)  # fmt: skip


if __name__ == "__main__":
    main()
