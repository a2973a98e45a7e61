"""Detect, annotate and classify blood cells, in napari or without a viewer."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("napari-hemacells")
except PackageNotFoundError:  # running from a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
