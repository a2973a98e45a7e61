"""``hemacells …``: the same core calls without a viewer.

The parser knows neither torch nor Qt: a command imports what it needs when it runs.
"""

from napari_hemacells.cli.app import app, main

__all__ = ["app", "main"]
