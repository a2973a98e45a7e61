"""What is loaded when: napari's start pays for neither the network nor the science."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "timm", "sklearn", "skimage", "distributed")
WINDOWS = ("qtpy", "PyQt6", "PySide6", "napari", "magicgui", "superqt", "vispy")
CORE = (
    "annotate", "classify", "crop", "detect", "encode", "errors", "evaluate", "image", "params",
    "store", "types",
)  # fmt: skip


def _loaded_by(code: str, names: tuple[str, ...]) -> set[str]:
    """Which of the names a fresh interpreter has loaded after the code."""
    asked = f"{code}\nimport sys\nprint('LOADED', *({names!r} & sys.modules.keys()))"
    asked = asked.replace(repr(names), repr(set(names)))
    done = subprocess.run(
        [sys.executable, "-c", asked], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.strip().splitlines()[-1].split()[1:])


def _help(*arguments: str) -> str:
    return (
        "from typer.testing import CliRunner\n"
        "from napari_hemacells.cli import app\n"
        f"assert CliRunner().invoke(app, {list(arguments)!r}).exit_code == 0"
    )


def test_the_probe_sees_what_is_loaded() -> None:
    assert _loaded_by("import sklearn", HEAVY) == {"sklearn"}


@pytest.mark.parametrize(
    "code",
    [
        "import napari_hemacells",
        "import napari_hemacells.samples",
        "import napari_hemacells.widgets",
        "import napari_hemacells.layers, napari_hemacells.session",
        _help("--help"),
        _help("evaluate", "fewshot", "--help"),
    ],
    ids=["package", "samples", "widgets", "session", "help", "help-of-a-command"],
)
def test_start_up_loads_nothing_heavy(code: str) -> None:
    assert _loaded_by(code, HEAVY) == set()


_OPENED = """
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
from napari_hemacells.widgets import HemaCellsWidget
app = QApplication.instance() or QApplication([])
dock = HemaCellsWidget(ViewerModel())
dock.show()
app.processEvents()
for step in ("detect", "annotate", "export"):
    dock.controller.show_step(step)
    app.processEvents()
dock.controller.close()
"""


def test_the_dock_opens_without_a_network() -> None:
    """PyTorch takes seconds: it is loaded in a thread, by the first job that wants it.

    Not only its time: torchvision brings triton, whose LLVM beside that of a drawn window is a
    segfault.
    """
    assert _loaded_by(_OPENED, ("torch", "torchvision", "triton")) == set()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="libraries of Linux")
def test_torch_is_opened_before_it_is_imported_and_works() -> None:
    """Without Python's lock: an import of PyTorch would hold the window for seconds."""
    code = (
        "from napari_hemacells.widgets import native_libraries\n"
        "from pathlib import Path\n"
        "assert native_libraries.open_torch_libraries()\n"
        "mapped = Path('/proc/self/maps').read_text()\n"
        "assert 'libtorch_cpu.so' in mapped and 'libtorch_python.so' not in mapped\n"
        "import sys\n"
        "assert 'torch' not in sys.modules\n"
        "with native_libraries.without_triton():\n"
        "    import torch\n"
        "assert float(torch.ones(3).sum()) == 3\n"
        "assert not native_libraries.open_torch_libraries()"
    )
    assert _loaded_by(code, ("torch",)) == {"torch"}


def test_core_layers_session_and_command_line_know_no_window() -> None:
    modules = [f"napari_hemacells.core.{name}" for name in CORE]
    modules += ["napari_hemacells.layers", "napari_hemacells.session", "napari_hemacells.cli"]
    assert _loaded_by("import " + ", ".join(modules), WINDOWS) == set()
