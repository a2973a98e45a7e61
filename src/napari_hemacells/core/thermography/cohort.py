"""Selecting the frames of a study: the filters of the thesis, then a balanced draw."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.temperature.dmr_ir import DmrIrName, original_name, parse_dmr_ir_name
from napari_hemacells.core.temperature.files import read_celsius
from napari_hemacells.core.temperature.quality import focus_measure
from napari_hemacells.core.types import Progress
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from napari_hemacells.core.params import SelectParams
    from napari_hemacells.core.thermography.patients import Patient, PatientRecords


@dataclass(frozen=True)
class SelectedFrame:
    """A frame that the study uses.

    Attributes
    ----------
    focus
        How sharp it is (:func:`.focus.focus_measure`).
    """

    path: Path
    frame: DmrIrName
    patient: Patient
    focus: float

    @property
    def label(self) -> str:
        """The diagnosis."""
        return self.patient.label


@dataclass(frozen=True)
class ExcludedFrame:
    """A frame left out of the study, with the reason, and its focus where measured."""

    path: Path
    reason: str
    focus: float | None = None


@dataclass(frozen=True)
class FrameSelection:
    """Selected and excluded frames, by name."""

    chosen: tuple[SelectedFrame, ...]
    left_out: tuple[ExcludedFrame, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Selected frames of each class."""
        return dict(sorted(Counter(frame.label for frame in self.chosen).items()))

    @property
    def blurred(self) -> tuple[ExcludedFrame, ...]:
        """Frames left out as blurred, the most blurred first."""
        frames = [frame for frame in self.left_out if frame.reason.startswith("blurred")]
        return tuple(sorted(frames, key=lambda frame: (frame.focus or 0.0, frame.path.name)))


def select_frames(
    paths: Sequence[Path], patients: PatientRecords, params: SelectParams
) -> FrameSelection:
    """Select the frames of a study: :func:`select_frames_steps` run to its end."""
    return run_to_end(select_frames_steps(paths, patients, params))


def select_frames_steps(
    paths: Sequence[Path], patients: PatientRecords, params: SelectParams
) -> Generator[Progress, None, FrameSelection]:
    """Select the frames of a study; yield after each file.

    A file passes if its name says what it shows, view and protocol are the wanted ones, the table
    knows its patient, nothing speaks against that patient, it can be read, and it is sharp
    enough. Of those, each class gives the same number, drawn at random with the seed. The result
    depends on the files' names, not on their order.

    Raises
    ------
    ThermogramError
        Nothing is left, or a class has fewer frames than were asked for.
    """
    left_out: list[ExcludedFrame] = []
    candidates: list[tuple[Path, DmrIrName, Patient]] = []
    given = {(path.parent, path.name) for path in paths}
    for path in sorted(paths, key=lambda file: (file.name, file)):
        original = original_name(path.name)
        if original != path.name and (path.parent, original) in given:
            left_out.append(ExcludedFrame(path, f"a copy of {original}"))
            continue
        candidate = _candidate(path, patients, params)
        if isinstance(candidate, str):
            left_out.append(ExcludedFrame(path, candidate))
        else:
            candidates.append(candidate)
    sharp: list[SelectedFrame] = []
    for done, (path, frame, patient) in enumerate(candidates):
        yield Progress(done, len(candidates), "Looking at thermograms")
        seen = _measure_sharpness(path, params)
        if isinstance(seen, ExcludedFrame):
            left_out.append(seen)
        else:
            sharp.append(SelectedFrame(path, frame, patient, seen))
    yield Progress(len(candidates), len(candidates), "Looking at thermograms")
    chosen = _draw(sharp, params) if params.balanced else sharp
    taken = {selected.path for selected in chosen}
    left_out += [
        ExcludedFrame(selected.path, "not drawn", selected.focus)
        for selected in sharp
        if selected.path not in taken
    ]
    if not chosen:
        raise ThermogramError(_nothing_left(left_out))
    return FrameSelection(
        tuple(chosen), tuple(sorted(left_out, key=lambda excluded: excluded.path.name))
    )


def _candidate(
    path: Path, patients: PatientRecords, params: SelectParams
) -> tuple[Path, DmrIrName, Patient] | str:
    """Return the candidate described by a file's name and the table, or why it is left out."""
    frame = parse_dmr_ir_name(path.name)
    if frame is None:
        return "its name does not say patient and view"
    if params.view not in {"any", frame.view.replace(" ", "-").rstrip("°")}:
        return f"view {frame.view}"
    if params.protocol not in {"any", frame.protocol}:
        return f"{frame.protocol} protocol"
    patient = patients.get(frame.patient)
    if patient is None:
        return f"patient {frame.patient} is not in {patients.source}"
    if not patient.label:
        return f"patient {frame.patient} has no diagnosis in {patients.source}"
    spared = {"deodorant": params.keep_deodorant, "single breast": params.keep_single_breast}
    against = sorted(reason for reason in patient.reasons if not spared.get(reason, False))
    return ", ".join(against) or (path, frame, patient)


def _measure_sharpness(path: Path, params: SelectParams) -> float | ExcludedFrame:
    """Return how sharp a file's frame is, or why it is left out."""
    try:
        celsius = read_celsius(path)
    except ThermogramError as error:
        return ExcludedFrame(path, str(error))
    if celsius.ndim != 2:
        return ExcludedFrame(path, f"it holds {len(celsius)} frames")
    value = focus_measure(celsius)
    return (
        ExcludedFrame(path, f"blurred ({value:.2f})", value) if value < params.sharpness else value
    )


def _draw(sharp: Sequence[SelectedFrame], params: SelectParams) -> list[SelectedFrame]:
    """Draw the same number of each class at random."""
    classes: dict[str, list[SelectedFrame]] = defaultdict(list)
    for selected in sharp:
        classes[selected.label].append(selected)
    count = params.per_class or min(map(len, classes.values()), default=0)
    rng = np.random.default_rng(params.seed)
    drawn: list[SelectedFrame] = []
    for label, members in sorted(classes.items()):
        if len(members) < count:
            raise ThermogramError(
                f"“{label}” has {len(members)} frames that pass, and {count} of each class were "
                "asked for: ask for fewer, or loosen the filters."
            )
        places = np.sort(rng.choice(len(members), count, replace=False))
        drawn += [members[index] for index in places]
    return sorted(drawn, key=lambda selected: selected.path.name)


def _nothing_left(left_out: Sequence[ExcludedFrame]) -> str:
    counts = Counter(excluded.reason for excluded in left_out).most_common(3)
    reasons = "; ".join(f"{reason} ({count})" for reason, count in counts)
    return f"No frame is left to use{': ' + reasons if reasons else ''}."
