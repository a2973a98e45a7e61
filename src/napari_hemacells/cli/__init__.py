"""The command line ``hemacells``: the core calls without a viewer.

Building the parser imports neither torch nor Qt: a command imports what it needs when it runs.
"""

from napari_hemacells.cli.app import app, main

__all__ = ["app", "main"]
