"""Fine-tuning: in a child process, with live reports, checkpoints, and a report of the outcome.

Importing this package does not import torch; what runs in the child process does.
"""

from napari_hemacells.core.train.progress import TrainingReport
from napari_hemacells.core.train.subprocess_job import SubprocessJob

__all__ = ["SubprocessJob", "TrainingReport"]
