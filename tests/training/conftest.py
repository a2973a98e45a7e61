"""The scripts beside the package can be imported."""

from __future__ import annotations

import sys
from pathlib import Path

TRAINING = str(Path(__file__).parents[2] / "training")
if TRAINING not in sys.path:
    sys.path.append(TRAINING)
