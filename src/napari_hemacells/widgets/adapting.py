"""Adapting the encoder in the dock: its section wired to the rest."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_hemacells.widgets.adapt_run import AdaptRun
from napari_hemacells.widgets.finetuning import images

if TYPE_CHECKING:
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.adapt_box import AdaptBox
    from napari_hemacells.widgets.bridge import ViewerBridge
    from napari_hemacells.widgets.finetune_run import FineTuneRun
    from napari_hemacells.widgets.tasks import Tasks
    from napari_hemacells.widgets.train_run import TrainRun
    from napari_hemacells.widgets.voice import Voice


class Adapting(QObject):
    """The section *Adapt to my slides* beside the other trainings.

    ``run`` outlives the dock until its ``close`` is called, and holds nothing of it.
    """

    def __init__(
        self,
        box: AdaptBox,
        session: Session,
        bridge: ViewerBridge,
        *,
        tasks: Tasks,
        trainings: tuple[TrainRun, FineTuneRun],
        voice: Voice,
    ) -> None:
        super().__init__()
        self.run = AdaptRun(
            session, box, partial(images, session, bridge), partial(why_not, *trainings)
        )
        self.run.encoder_wanted.connect(tasks.load_encoder)
        self.run.said.connect(voice.say)
        self.run.warned.connect(voice.warn)
        for training in trainings:
            training.jobs.stopped.connect(self.run.refresh)


def why_not(detector: TrainRun, classifier: FineTuneRun) -> str:
    """Return why the encoder cannot be adapted now; empty while nothing else is taught."""
    for name, taught in (("detector", detector), ("classifier", classifier)):
        if taught.jobs.running("train"):
            return f"The {name} is being trained: wait until that has ended, or cancel it."
    return ""
