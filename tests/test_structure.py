"""What the source keeps to: no import circle, no class name twice, no file that is too long."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
MOST_LINES = 600


@pytest.fixture(scope="module")
def structure() -> Any:
    script = ROOT / "scripts" / "measure_structure.py"
    spec = importlib.util.spec_from_file_location("measure_structure", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module.Structure(ROOT)
    del sys.modules[spec.name]


def test_modules_import_one_another_in_one_direction(structure: Any) -> None:
    assert structure.cycles == []


def test_a_class_name_means_one_class(structure: Any) -> None:
    assert structure.repeated_classes == {}


def test_no_file_is_too_long_to_read(structure: Any) -> None:
    long = {m.name: m.n_lines for m in structure.modules.values() if m.n_lines > MOST_LINES}
    assert long == {}
