"""What is shipped: wheel, sdist, editable install, and the manifest in each of them."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from npe2 import PluginManifest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = {
    path.relative_to(ROOT / "src").as_posix()
    for path in (ROOT / "src" / "napari_hemacells").rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}


def _run(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    _run("-m", "build", "--no-isolation", "--outdir", str(folder))
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder into which the wheel is installed."""
    folder = tmp_path_factory.mktemp("site")
    wheel = next(built.glob("*.whl"))
    _run("-m", "pip", "install", "--no-deps", "--no-index", "--target", str(folder), str(wheel))
    return folder


def test_the_wheel_holds_every_file_of_the_package(installed: Path) -> None:
    assert {"napari_hemacells/napari.yaml", "napari_hemacells/py.typed"} <= SHIPPED
    weights = {f"napari_hemacells/weights/detector.{ending}" for ending in ("safetensors", "md")}
    assert weights <= SHIPPED
    assert any(name.endswith((".j2", ".html")) for name in SHIPPED)
    assert [name for name in sorted(SHIPPED) if not (installed / name).is_file()] == []


def test_the_sdist_holds_the_manifest_at_both_places(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"napari.yaml", "src/napari_hemacells/napari.yaml", "LICENSE", "README.md"} <= names
    assert {"training/train_detector.py", "training/choose_limits.py"} <= names


def test_the_manifest_is_valid_from_a_wheel(installed: Path) -> None:
    told = _run("-m", "npe2", "validate", "napari-hemacells", PYTHONPATH=str(installed))
    assert "valid" in told
    where = _run(
        "-c",
        "import napari_hemacells; print(napari_hemacells.__file__)",
        PYTHONPATH=str(installed),
    )
    assert str(installed) in where


def test_the_manifest_is_valid_as_installed() -> None:
    assert "valid" in _run("-m", "npe2", "validate", "napari-hemacells")


def test_the_manifest_on_top_is_the_one_of_the_package() -> None:
    assert (ROOT / "napari.yaml").resolve() == ROOT / "src" / "napari_hemacells" / "napari.yaml"


def test_every_command_of_the_manifest_is_there() -> None:
    manifest = PluginManifest.from_distribution("napari-hemacells")
    commands = manifest.contributions.commands or []
    assert len(commands) >= 2
    for command in commands:
        module, _, name = str(command.python_name).partition(":")
        assert callable(getattr(import_module(module), name)), command.id
        assert command.id.startswith("napari-hemacells.")


def test_the_console_script_is_there() -> None:
    (script,) = entry_points(group="console_scripts", name="hemacells")
    assert callable(script.load())


def test_the_lowest_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    tested = ["all", "test", "adapt", "flir", "onnx", "report", "serve", "umap"]
    asked = [*project["dependencies"], *(line for extra in tested for line in extras[extra])]
    lines = (ROOT / "constraints" / "lowest.txt").read_text("utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    pinned = {canonicalize_name(pin.name): str(pin.specifier)[2:] for pin in pins}
    for requirement in map(Requirement, asked):
        if requirement.name == "napari-hemacells":
            continue
        (bound,) = (part for part in requirement.specifier if part.operator == ">=")
        pin = Version(pinned[canonicalize_name(requirement.name)])
        assert pin == Version(bound.version), f"{requirement}: make lowest-versions"
