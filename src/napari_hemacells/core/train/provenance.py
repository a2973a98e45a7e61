"""What a result depends on: versions of the libraries."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = ("napari-hemacells", "torch", "torchvision", "timm", "numpy", "scipy", "pillow")


def library_versions() -> dict[str, str]:
    """Return the version of Python and of the libraries that a training's result depends on."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
