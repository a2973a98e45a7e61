"""Opening napari with a result, where there is a display."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

OPEN = "import sys; from napari_hemacells.widgets import open_result; open_result(sys.argv[1])"


def why_no_viewer(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> str:
    """Return why no window can be opened here, in words; empty if one can."""
    if environ.get("CI"):
        return "this is a run without a user (CI is set)"
    if platform.startswith("linux") and not (
        environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
    ):
        return "there is no display here"
    if platform == "darwin" and environ.get("SSH_CONNECTION"):
        return "this is a remote session without a display"
    return ""


def open_viewer(project: Path) -> bool:
    """Return whether napari showed the project, after its window is closed.

    In a process of its own: where Qt finds a display but cannot use it, it ends the process, and
    the results of this one must not end with it.
    """
    command = [sys.executable, "-c", OPEN, str(project)]
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603  # our own command
