#!/usr/bin/env python3
"""Figures of the structure of ``src/``: files, imports, cycles, names, and the path of a click.

    python scripts/measure_structure.py                       # this checkout
    python scripts/measure_structure.py OLD NEW --click       # two checkouts, before and after
    python scripts/measure_structure.py --list                # with names, cycles and files

Without ``--click`` only the source text is read (standard library, some seconds).

Definitions
-----------
Import lines
    Lines that belong to an ``import`` or ``from … import`` statement, wherever it is.
Import cycle
    A strongly connected component of more than one module, with imports under ``TYPE_CHECKING``
    and inside functions included. ``from package import name`` points at the submodule of that
    name, or at the module that defines what the package's ``__init__`` re-exports; only a name
    that ``__init__`` itself defines points at ``__init__``. The import of a submodule is no
    import of the packages above it.
Class name in several files
    A name of a ``class`` statement, at any depth, that occurs in more than one file.
Uses of an identifier
    Variables read or written (``ast.Name``) and parameters (``ast.arg``); attributes and keyword
    arguments are not counted.
Public names
    Functions and classes at module level without a leading underscore.

The path of a click
-------------------
``--click`` opens a real napari viewer (under ``xvfb-run`` where there is no display) with the
dock and a synthetic image, detects its cells, opens the step *Annotate*, and gives some cells a
class by key and mouse, as a user does. When everything is warm and at rest, one more click is
followed with a profile function in all threads, from the mouse press on the canvas until the
cells have their new colours and are drawn.

Moments
    ``journal``: the annotation is written to the disk; then ``refit``: the classifier is fitted
    anew; then ``colours``: the cells get their new colours. Each is recognised by the function
    that is entered: see ``PROBES``.
Files on the call stacks
    Source files of the frames that are on the call stack at these moments: the bare chain of
    calls. A stack does not reach over threads, so the stack that handed work to a thread (a
    worker of napari or superqt, an executor, a ``Thread``) counts as the callers of what runs
    there.
Files on the main path
    These, and the files of all that the functions on the chain call to do their work (the fit
    itself, the record for the journal, the table of colours), directly or not. Listeners are
    left out: what is called by a signal's ``emit`` belongs to the main path only if it leads to
    one of the moments. So panels and galleries that merely hear of the click do not count.
All files
    Source files of the package in which a function ran meanwhile, in any thread.

Timers that run out during the click make a difference of one or two files between two runs: on a
busy machine, measure twice.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cache, cached_property, wraps
from itertools import islice
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

    from napari import Viewer
    from qtpy.QtWidgets import QWidget

PROBES: dict[str, tuple[str, ...]] = {
    # "module:qualname"; the first that exists is used, so old and new names stand side by side.
    "journal": ("os:fsync", "napari_hemacells.core.annotate.journal:Journal.append"),
    "refit": (
        "napari_hemacells.core.classify:fit",
        "napari_hemacells.core.classify:fit_head",
        "napari_hemacells.core.classify.fit:fit",
        "napari_hemacells.core.classify.fit:fit_head",
    ),
    "colours": ("napari.layers:Labels.colormap",),
}
PLUGIN, WIDGET = "napari-hemacells", "HemaCells"
DETECT_BUTTON, ANNOTATE_BUTTON = r"^detect( cells)?$", r"\bannotate\b"  # mnemonics taken off
CLASS_KEYS = "12121"  # one click for each key; only the last is measured
IDENTIFIERS = ("one", "found", "said", "told", "place")
SHORT, LONG = 40, 600  # lines
CLICK_TIMEOUT, STEP_TIMEOUT, REST = 900, 120, 1.5  # seconds

ROOT = Path(__file__).resolve().parents[1]
Classes = dict[str, list[str]]


# --- the source text -----------------------------------------------------------------------------


@dataclass
class Module:
    """One Python file, parsed."""

    name: str
    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text, str(self.path))

    @property
    def is_package(self) -> bool:
        """Whether it is the ``__init__`` of a package."""
        return self.path.name == "__init__.py"

    @cached_property
    def n_lines(self) -> int:
        """Number of lines, as ``wc -l`` counts them."""
        return self.text.count("\n")

    @cached_property
    def import_statements(self) -> list[ast.Import | ast.ImportFrom]:
        """Every import statement, also in functions and under ``TYPE_CHECKING``."""
        nodes = ast.walk(self.tree)
        return [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]

    @property
    def n_import_lines(self) -> int:
        """Number of lines that belong to import statements."""
        spans = ((node.lineno, node.end_lineno or node.lineno) for node in self.import_statements)
        return len({line for first, last in spans for line in range(first, last + 1)})

    def imported_from(self, node: ast.ImportFrom) -> str:
        """Absolute name of the module that a ``from … import`` names."""
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        base = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*base, *filter(None, [node.module])])


def read_modules(src: Path) -> dict[str, Module]:
    """Every module below ``src``, by its dotted name."""
    modules = {}
    for path in sorted(src.rglob("*.py")):
        parts = path.relative_to(src).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = Module(name, path, path.read_text(encoding="utf-8"))
    return modules


class Import(NamedTuple):
    """An import of one module of the project by another."""

    source: str
    target: str
    line: int


class ImportGraph:
    """Which module imports which."""

    def __init__(self, modules: dict[str, Module]) -> None:
        self._modules = modules
        self._exports = {
            module.name: _exports(module) for module in modules.values() if module.is_package
        }
        self.imports = [
            Import(module.name, target, node.lineno)
            for module in modules.values()
            for node in module.import_statements
            for target in self._targets(module, node)
            if target != module.name
        ]
        self._targets_of: dict[str, set[str]] = defaultdict(set)
        for edge in self.imports:
            self._targets_of[edge.source].add(edge.target)

    def cycles(self) -> list[list[str]]:
        """Strongly connected components of more than one module."""
        reachable = {name: self._reachable(name) for name in self._modules}
        components = {
            frozenset(other for other in targets if name in reachable[other])
            for name, targets in reachable.items()
        }
        return sorted(sorted(component) for component in components if len(component) > 1)

    def _reachable(self, start: str) -> set[str]:
        reached: set[str] = set()
        waiting = [start]
        while waiting:
            new = self._targets_of[waiting.pop()] - reached
            reached |= new
            waiting.extend(new)
        return reached

    def _targets(self, module: Module, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
        if isinstance(node, ast.Import):
            names = (self._known_prefix(alias.name) for alias in node.names)
            yield from (name for name in names if name is not None)
        else:
            source = module.imported_from(node)
            if source in self._modules:
                yield from {self._defining(source, alias.name) for alias in node.names}

    def _known_prefix(self, name: str) -> str | None:
        while name and name not in self._modules:
            name = name.rpartition(".")[0]
        return name or None

    def _defining(self, module: str, name: str, seen: frozenset[str] = frozenset()) -> str:
        """The module that defines ``name`` of a module: behind re-exports of ``__init__``."""
        submodule = f"{module}.{name}"
        export = self._exports.get(module, {}).get(name)
        if export is not None and submodule not in seen:
            return self._defining(*export, seen | {submodule})
        return submodule if submodule in self._modules else module


def _exports(package: Module) -> dict[str, tuple[str, str]]:
    """Names that a package's ``__init__`` imports, each with module and name there."""
    return {
        alias.asname or alias.name: (package.imported_from(node), alias.name)
        for node in package.import_statements
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@dataclass
class Structure:
    """What is measured on the source text of one checkout."""

    root: Path
    modules: dict[str, Module] = field(init=False)

    def __post_init__(self) -> None:
        self.modules = read_modules(self.root / "src")
        if not self.modules:
            raise SystemExit(f"There are no Python files in {self.root / 'src'}.")

    @cached_property
    def graph(self) -> ImportGraph:
        """The imports between the modules."""
        return ImportGraph(self.modules)

    @cached_property
    def cycles(self) -> list[list[str]]:
        """The import cycles."""
        return self.graph.cycles()

    @cached_property
    def line_counts(self) -> list[int]:
        """Lines of every file."""
        return [module.n_lines for module in self.modules.values()]

    @cached_property
    def n_import_lines(self) -> int:
        """Import lines of all files."""
        return sum(module.n_import_lines for module in self.modules.values())

    @cached_property
    def repeated_classes(self) -> Classes:
        """Class names defined in more than one file, with the modules."""
        where: dict[str, set[str]] = defaultdict(set)
        for module in self.modules.values():
            for node in ast.walk(module.tree):
                if isinstance(node, ast.ClassDef):
                    where[node.name].add(module.name)
        return {name: sorted(where[name]) for name in sorted(where) if len(where[name]) > 1}

    @cached_property
    def identifiers(self) -> Counter[str]:
        """How often each variable or parameter name is used."""
        counts: Counter[str] = Counter()
        for module in self.modules.values():
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Name):
                    counts[node.id] += 1
                elif isinstance(node, ast.arg):
                    counts[node.arg] += 1
        return counts

    @property
    def n_public_names(self) -> int:
        """Number of public functions and classes at module level."""
        kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        nodes = (node for module in self.modules.values() for node in module.tree.body)
        return sum(isinstance(node, kinds) and not node.name.startswith("_") for node in nodes)

    @cached_property
    def short_files(self) -> list[str]:
        """Files of fewer lines than ``SHORT``, ``__init__`` left out."""
        return self._files(lambda m: m.n_lines < SHORT and not m.is_package)

    @cached_property
    def long_files(self) -> list[str]:
        """Files of more lines than ``LONG``."""
        return self._files(lambda m: m.n_lines > LONG)

    def _files(self, chosen: Callable[[Module], bool]) -> list[str]:
        return [
            f"{module.path.relative_to(self.root)} ({module.n_lines})"
            for module in self.modules.values()
            if chosen(module)
        ]

    def rows(self) -> dict[str, str]:
        """The figures, one row each."""
        lines = self.line_counts
        repeated = self.repeated_classes
        public = [name for name in repeated if not name.startswith("_")]
        largest_decile = quantiles(lines, n=10, method="inclusive")[8]
        return {
            "Python files": f"{len(lines):,}",
            "lines": f"{sum(lines):,}",
            "lines per file, median": f"{median(lines):.0f}",
            "lines per file, 90th percentile": f"{largest_decile:.0f}",
            "lines per file, maximum": f"{max(lines)}",
            f"files under {SHORT} lines (without __init__)": f"{len(self.short_files)}",
            f"files over {LONG} lines": f"{len(self.long_files)}",
            "import lines": f"{self.n_import_lines:,}",
            "import lines, share": f"{self.n_import_lines / sum(lines):.1%}",
            "import cycles": f"{len(self.cycles)}",
            "modules in import cycles": f"{sum(map(len, self.cycles))}",
            "public class names in several files": f"{len(public)}",
            "private class names in several files": f"{len(repeated) - len(public)}",
            "public names": f"{self.n_public_names:,}",
            **{f"identifier “{name}”": f"{self.identifiers[name]:,}" for name in IDENTIFIERS},
        }

    def details(self) -> Iterator[str]:
        """What ``--list`` adds."""
        yield f"Import cycles ({len(self.cycles)}):"
        for cycle in self.cycles:
            yield f"  {len(cycle)} modules: {', '.join(map(_short, cycle))}"
            yield from self._edges_within(set(cycle))
        yield f"Class names in several files ({len(self.repeated_classes)}):"
        for name, modules in self.repeated_classes.items():
            yield f"  {name}: {', '.join(map(_short, modules))}"
        for title, files in (
            (f"Files under {SHORT} lines", self.short_files),
            (f"Files over {LONG} lines", self.long_files),
        ):
            yield f"{title} ({len(files)}):"
            yield from (f"  {file}" for file in files)

    def _edges_within(self, cycle: set[str]) -> Iterator[str]:
        lines: dict[tuple[str, str], list[int]] = defaultdict(list)
        for edge in self.graph.imports:
            if {edge.source, edge.target} <= cycle:
                lines[edge.source, edge.target].append(edge.line)
        for (source, target), where in sorted(lines.items()):
            at = ", ".join(map(str, sorted(set(where))))
            yield f"    {_short(source)}:{at} → {_short(target)}"


def _short(module: str) -> str:
    """A module's name without that of the project."""
    return module.partition(".")[2] or module


# --- the click, in the process of a viewer -------------------------------------------------------


@dataclass(eq=False, slots=True)
class Call:
    """A call of a function of the package, its caller, and whether a signal was between."""

    file: str
    caller: Call | None
    is_listener: bool

    def chain(self) -> Iterator[Call]:
        """The call, its caller, and so on; also from a thread to who gave it the work."""
        call: Call | None = self
        while call is not None:
            yield call
            call = call.caller


class ThreadCalls(threading.local):
    """What runs in a thread now: frames of the package, and who gave the thread its work."""

    def __init__(self) -> None:
        self.giver: Call | None = None
        self.running: list[tuple[FrameType, Call]] = []

    @property
    def current(self) -> Call | None:
        """The innermost call."""
        return self.running[-1][1] if self.running else self.giver


class Recorder:
    """Follows the calls into one package, in every thread.

    Parameters
    ----------
    package
        Folder of the package.
    functions
        What each probe waits for: a code object, or a function written in C.
    """

    def __init__(self, package: Path, functions: dict[str, object]) -> None:
        self._package = f"{package}{os.sep}"
        self._probe_of = {target: probe for probe, target in functions.items()}
        self._thread = ThreadCalls()
        self._recording = False
        self._calls: list[Call] = []
        self._hits: list[tuple[str, Call]] = []

    def start(self) -> None:
        """Forget what was recorded, and record from now on."""
        self._calls, self._hits, self._recording = [], [], True
        sys.setprofile(self.profile)

    def stop(self) -> None:
        """Record no more."""
        sys.setprofile(None)
        self._recording = False

    def profile(self, frame: FrameType, event: str, argument: object) -> None:
        """Note what is called; for ``sys.setprofile``."""
        if event == "call":
            if frame.f_code.co_filename.startswith(self._package):
                self._enter(frame)
            self._note(frame.f_code)
        elif event == "c_call":
            self._note(argument)
        elif event == "return":
            running = self._thread.running
            if running and running[-1][0] is frame:
                running.pop()

    def _enter(self, frame: FrameType) -> None:
        running = self._thread.running
        is_listener = bool(running) and is_emitting(running[-1][0])
        call = Call(frame.f_code.co_filename, self._thread.current, is_listener)
        running.append((frame, call))
        if self._recording and frame.f_code.co_name != "<module>":
            self._calls.append(call)

    def _note(self, target: object) -> None:
        try:
            probe = self._probe_of.get(target)
        except TypeError:  # a method of an object that cannot be hashed
            return
        current = self._thread.current
        if self._recording and probe is not None and current is not None:
            self._hits.append((probe, current))

    def track(self, owner: type, give: str, run: str) -> None:
        """Take over the callers where work is given to a thread, and follow the calls there.

        Parameters
        ----------
        owner
            The class of the work.
        give, run
            Its methods that are called by who gives the work, and in the thread.
        """
        given, ran, threads = getattr(owner, give), getattr(owner, run), self._thread
        profile = self.profile

        @wraps(given)
        def give_noted(work: Any, *args: Any, **kwargs: Any) -> Any:
            work.measured_giver = threads.current
            return given(work, *args, **kwargs)

        @wraps(ran)
        def run_followed(work: Any, *args: Any, **kwargs: Any) -> Any:
            before, threads.giver = threads.giver, getattr(work, "measured_giver", threads.giver)
            profile_before = sys.getprofile()
            sys.setprofile(profile)
            try:
                return ran(work, *args, **kwargs)
            finally:
                sys.setprofile(profile_before)
                threads.giver = before

        setattr(owner, give, give_noted)
        setattr(owner, run, run_followed)

    @property
    def moments(self) -> dict[str, Call]:
        """The call at each moment, as far as they were reached in the order of ``PROBES``."""
        moments: dict[str, Call] = {}
        for probe, call in list(self._hits):
            if probe == next((name for name in PROBES if name not in moments), None):
                moments[probe] = call
        return moments

    @property
    def files(self) -> set[str]:
        """Files in which a function ran."""
        return {call.file for call in self._calls}

    @property
    def main_path(self) -> set[str]:
        """Files of the chains to the moments, and of what these call, listeners left out."""
        on_path = {link for call in self.moments.values() for link in call.chain()}
        for call in self._calls:  # callers come before what they call
            if call.caller in on_path and not call.is_listener:
                on_path.add(call)
        return {call.file for call in on_path}


def is_emitting(frame: FrameType) -> bool:
    """Whether what a frame calls now is the ``emit`` of a signal."""
    *_, (_, last_line, _, last_column) = islice(
        frame.f_code.co_positions(), frame.f_lasti // 2 + 1
    )
    return (last_line, last_column) in emit_calls(frame.f_code.co_filename)


@cache
def emit_calls(file: str) -> frozenset[tuple[int | None, int | None]]:
    """Where the calls of ``….emit(…)`` in a file end: line and column."""
    calls = (node for node in ast.walk(ast.parse(Path(file).read_bytes())) if _is_emit(node))
    return frozenset((node.end_lineno, node.end_col_offset) for node in calls)


def _is_emit(node: ast.AST) -> TypeGuard[ast.Call]:
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(called, ast.Attribute) and called.attr == "emit"


def resolve_probe(names: Iterable[str]) -> tuple[str, object]:
    """The first of these functions that exists: its name, and its code (itself if it is C)."""
    names = tuple(names)
    for name in names:
        module, _, qualname = name.partition(":")
        try:
            target: Any = importlib.import_module(module)
            for part in qualname.split("."):
                target = inspect.getattr_static(target, part)
        except (ImportError, AttributeError):
            continue
        target = getattr(target, "fset", None) or getattr(target, "__func__", target)
        if callable(target):  # a name may be that of a submodule, too
            target = inspect.unwrap(target)
            return name, getattr(target, "__code__", target)
    raise SystemExit(f"None of these functions exists (see PROBES): {', '.join(names)}")


class Dock:
    """The dock in a viewer, used by button, key and mouse only: no name of ours is needed."""

    def __init__(self) -> None:
        import napari

        self.viewer: Viewer = napari.Viewer()
        self.viewer.add_image(paint_field(), name="field")
        self.widget: QWidget
        _, self.widget = self.viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
        self.canvas: QWidget = self.viewer.window._qt_viewer.canvas.native  # noqa: SLF001

    def press_button(self, pattern: str) -> None:
        """Press the first button in sight whose text is like this."""
        from qtpy.QtWidgets import QPushButton

        def find() -> QPushButton | None:
            buttons = self.widget.findChildren(QPushButton)
            return next((button for button in buttons if _can_press(button, pattern)), None)

        self.wait(find, f"a button “{pattern}”")
        button = find()
        if button is not None:
            button.click()

    def cells(self) -> list[tuple[float, float]]:
        """Middles (row, column) of the cells that are shown."""
        import numpy as np
        from napari.layers import Labels
        from scipy.ndimage import center_of_mass

        layers = [layer for layer in self.viewer.layers if isinstance(layer, Labels)]
        labels = np.asarray(layers[0].data) if layers else np.zeros((1, 1), int)
        ids = np.unique(labels[labels > 0])
        middles: Any = center_of_mass(labels > 0, labels, ids)
        return [(float(row), float(col)) for row, col in middles]

    def class_key(self, key: str) -> None:
        """Choose a class by its key, in the dock."""
        _mouse_and_keys().keyClicks(self.widget, key)

    def point_at(self, world: tuple[float, float]) -> None:
        """Move the mouse to a place."""
        _mouse_and_keys().mouseMove(self.canvas, self._on_canvas(world))

    def click(self, world: tuple[float, float]) -> None:
        """Press and release the left button at a place."""
        from qtpy.QtCore import Qt

        left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        _mouse_and_keys().mouseClick(self.canvas, left, none, self._on_canvas(world))

    def _on_canvas(self, world: tuple[float, float]) -> Any:
        from qtpy.QtCore import QPoint

        camera = getattr(self.viewer, "scene", self.viewer).camera
        row, col = (
            side / 2 + (place - centre) * camera.zoom / self.canvas.devicePixelRatioF()
            for side, place, centre in zip(
                (self.canvas.height(), self.canvas.width()), world, camera.center[-2:], strict=True
            )
        )
        return QPoint(round(col), round(row))

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Run the event loop until something is so."""
        deadline = time.monotonic() + STEP_TIMEOUT
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit(f"The dock was waited for in vain: {what}.")
            self.ignore_small_moves(0.02)

    def ignore_small_moves(self, seconds: float) -> None:
        """Run the event loop for some time."""
        from qtpy.QtCore import QEventLoop, QTimer

        loop = QEventLoop()
        QTimer.singleShot(round(1000 * seconds), loop.quit)
        loop.exec()


def _mouse_and_keys() -> Any:
    from qtpy.QtTest import QTest

    return QTest  # its stubs take static methods for methods


def _can_press(button: Any, pattern: str) -> bool:
    text = button.text().replace("&", "").strip()
    seen = button.isVisible() and button.isEnabled()
    return bool(seen and re.search(pattern, text, re.IGNORECASE))


def paint_field() -> Any:
    """A field of 20 round cells on a grid, every fourth one purple, with soft noise."""
    import numpy as np

    rng = np.random.default_rng(0)
    pixels = np.full((200, 240, 3), (235, 232, 228), float)
    rows, cols = np.mgrid[:200, :240]
    for cell in range(20):
        row, col = 25 + 48 * (cell // 5), 28 + 45 * (cell % 5)
        inside = (rows - row) ** 2 + (cols - col) ** 2 < 11**2
        pixels[inside] = (205, 130, 130) if cell % 4 else (110, 60, 150)
    return np.clip(pixels + rng.normal(0, 3, pixels.shape), 0, 255).astype(np.uint8)


def drive(root: Path, report: Path) -> None:
    """Open the dock, follow one click, write what was seen as JSON; runs in a child process."""
    names, functions = {}, {}
    for probe, candidates in PROBES.items():
        names[probe], functions[probe] = resolve_probe(candidates)
    package = Path(importlib.import_module(PLUGIN.replace("-", "_")).__file__ or "").parent
    if not package.is_relative_to(root / "src"):
        raise SystemExit(f"{package} was imported, which is not in {root}.")
    recorder = Recorder(package, functions)
    follow_threads(recorder)
    dock = Dock()
    dock.ignore_small_moves(REST)
    dock.press_button(DETECT_BUTTON)
    dock.wait(lambda: len(dock.cells()) >= len(CLASS_KEYS), "enough cells")
    dock.ignore_small_moves(REST)
    dock.press_button(ANNOTATE_BUTTON)
    for cell, key in zip(dock.cells(), CLASS_KEYS, strict=False):
        follow_click(dock, recorder, cell, key)
    report.write_text(
        json.dumps(
            {
                "probes": names,
                "files": _relative(recorder.files, package),
                "main_path": _relative(recorder.main_path, package),
                "moments": {
                    probe: _relative({link.file for link in call.chain()}, package)
                    for probe, call in recorder.moments.items()
                },
            }
        )
    )
    os._exit(0)  # windows and threads need no farewell


def follow_threads(recorder: Recorder) -> None:
    """Follow work into the threads of Qt, of executors, and others."""
    from concurrent.futures.thread import _WorkItem

    from superqt.utils import WorkerBase

    recorder.track(WorkerBase, "start", "run")
    recorder.track(_WorkItem, "__init__", "run")
    recorder.track(threading.Thread, "start", "run")


def follow_click(dock: Dock, recorder: Recorder, cell: tuple[float, float], key: str) -> None:
    """Give one cell a class by key and mouse, and record it from the press to the colours."""
    dock.point_at((0.0, 0.0))
    dock.ignore_small_moves(REST)
    dock.class_key(key)
    dock.point_at(cell)
    dock.ignore_small_moves(REST)
    recorder.start()
    try:
        dock.click(cell)
        dock.wait(lambda: len(recorder.moments) == len(PROBES), f"all of {', '.join(PROBES)}")
        dock.ignore_small_moves(0)  # what else listens, and the drawing that was asked for
    finally:
        recorder.stop()


def _relative(files: Iterable[str], package: Path) -> list[str]:
    return sorted(str(Path(file).relative_to(package)) for file in files)


# --- the click, from outside ---------------------------------------------------------------------


@dataclass
class ClickPath:
    """The files that a click passes in one checkout."""

    probes: dict[str, str]
    files: list[str]
    main_path: list[str]
    moments: dict[str, list[str]]

    @property
    def on_stacks(self) -> list[str]:
        """Files on the call stack at any of the moments."""
        return sorted({file for files in self.moments.values() for file in files})

    def rows(self) -> dict[str, str]:
        """The figures, one row each."""
        return {
            "click → recoloured: files on the main path": f"{len(self.main_path)}",
            "click → recoloured: files on the call stacks": f"{len(self.on_stacks)}",
            "click → recoloured: all files": f"{len(self.files)}",
        }

    def details(self) -> Iterator[str]:
        """What ``--list`` adds."""
        yield f"Main path of a click ({len(self.main_path)}):"
        for file in self.main_path:
            at = ", ".join(probe for probe, files in self.moments.items() if file in files)
            yield f"  {file} (on the stack: {at})" if at else f"  {file}"
        others = sorted(set(self.files) - set(self.main_path))
        yield f"Other files in which a function ran ({len(others)}):"
        yield from (f"  {file}" for file in others)
        yield "Probes: " + ", ".join(f"{probe} = {name}" for probe, name in self.probes.items())


def measure_click(root: Path, python: Path, probes: dict[str, str]) -> ClickPath:
    """Follow a click in a checkout, in a process of its own with its own home folders."""
    with tempfile.TemporaryDirectory(prefix="measure-structure-") as scratch:
        report = Path(scratch) / "report.json"
        command = [str(python), __file__, str(root), "--drive", str(report)]
        for probe, name in probes.items():
            command += ["--probe", f"{probe}={name}"]
        if sys.platform == "linux" and not os.environ.get("DISPLAY"):
            if shutil.which("xvfb-run") is None:
                raise SystemExit("There is no display and no xvfb-run: run system_libraries.sh.")
            command = ["xvfb-run", "-a", "-s", "-screen 0 1280x800x24", *command]
        environment = {
            **os.environ,
            "PYTHONPATH": str(root / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_DATA_HOME": str(Path(scratch) / "data"),
            "XDG_CONFIG_HOME": str(Path(scratch) / "config"),
            "NAPARI_CONFIG": str(Path(scratch) / "napari.yaml"),
        }
        done = subprocess.run(  # noqa: S603  # our own command
            command, check=False, capture_output=True, text=True, env=environment,
            timeout=CLICK_TIMEOUT,
        )  # fmt: skip
        if done.returncode or not report.exists():
            raise SystemExit(f"The click in {root} failed:\n{done.stdout}{done.stderr}")
        return ClickPath(**json.loads(report.read_text()))


# --- the table -----------------------------------------------------------------------------------


def table(columns: dict[str, dict[str, str]]) -> Iterator[str]:
    """Lines of a table: one row for each figure, one column for each checkout."""
    labels = list(dict.fromkeys(label for rows in columns.values() for label in rows))
    first = max(map(len, labels))
    widths = [max(12, len(title)) for title in columns]
    titles = (f"{title:>{width}}" for title, width in zip(columns, widths, strict=True))
    yield "  ".join(["".ljust(first), *titles])
    for label in labels:
        cells = (
            f"{rows.get(label, '–'):>{width}}"
            for rows, width in zip(columns.values(), widths, strict=True)
        )
        yield "  ".join([label.ljust(first), *cells])


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "roots", nargs="*", type=Path, default=[ROOT], metavar="ROOT",
        help="a checkout, or two: before and after (default: the one of this script)",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="name what is counted, too")
    parser.add_argument("--click", action="store_true", help="follow a click in a real viewer")
    parser.add_argument(
        "--python", type=Path, help="for --click: the Python to run (default: .venv of the script)"
    )
    parser.add_argument(
        "--probe", action="append", default=[], metavar="NAME=MODULE:QUALNAME",
        help=f"for --click: another function for one of {', '.join(PROBES)}",
    )  # fmt: skip
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.roots = [root.resolve() for root in given.roots]
    given.probe = dict(probe.split("=", 1) for probe in given.probe)
    if len(given.roots) > 2:
        parser.error("one checkout, or two")
    if unknown := set(given.probe) - set(PROBES):
        parser.error(f"no such probe: {', '.join(sorted(unknown))}")
    return given


def print_report(given: argparse.Namespace) -> None:
    """Measure the checkouts and print the table, and what ``--list`` adds."""
    own = ROOT / ".venv" / "bin" / "python"
    python = given.python or (own if own.exists() else Path(sys.executable))
    names = ["before", "after"] if len(given.roots) == 2 else ["now"]
    parts: dict[str, list[Structure | ClickPath]] = {}
    for name, root in zip(names, given.roots, strict=True):
        print(f"{name}: {root}")
        parts[name] = [Structure(root)]
        if given.click:
            parts[name].append(measure_click(root, python, given.probe))
    rows = {
        name: {label: value for part in measured for label, value in part.rows().items()}
        for name, measured in parts.items()
    }
    print(*table(rows), sep="\n")
    for name, measured in parts.items() if given.list else ():
        print(f"\n=== {name} ===")
        for part in measured:
            print(*part.details(), sep="\n")


def main() -> None:
    """Measure, or be the process whose click is followed."""
    given = parse_arguments()
    if given.drive is None:
        print_report(given)
        return
    PROBES.update({probe: (name,) for probe, name in given.probe.items()})
    drive(given.roots[0], given.drive)


if __name__ == "__main__":
    main()
