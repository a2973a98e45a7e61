"""Which frames a study uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.params import SelectParams
from napari_hemacells.core.temperature import focus_measure, read_celsius
from napari_hemacells.core.thermography.cohort import select_frames
from napari_hemacells.core.thermography.patients import Patient, PatientRecords
from napari_hemacells.samples import synthetic_thermogram

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (240, 320)
FRAME = synthetic_thermogram(1, size=SIZE).celsius
PATIENTS = PatientRecords(
    "table.csv",
    {
        str(number): Patient(f"{number:04d}", label, None, frozenset(reasons))
        for number, label, reasons in [
            (1, "healthy", []), (2, "healthy", []), (3, "healthy", []), (4, "sick", []),
            (5, "sick", []), (6, "sick", ["deodorant"]), (7, "sick", ["single breast"]),
            (8, "sick", ["excluded"]), (9, "", []),
        ]
    },
)  # fmt: skip


def write(folder: Path, name: str, celsius: np.ndarray = FRAME) -> Path:
    np.save(folder / f"{name}.npy", celsius)
    return folder / f"{name}.npy"


def frame_name(patient: int, view: int = 1, protocol: str = "S", number: int = 0) -> str:
    return f"T{patient:04d}.1.{view}.{protocol}.2013-01-16.{number:02d}"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two frames each of patients 1 to 5, and one of each kind that is not wanted."""
    good = [
        write(tmp_path, frame_name(patient, number=number), FRAME + patient / 50 + number / 100)
        for patient in range(1, 6)
        for number in range(2)
    ]
    others = [
        write(tmp_path, frame_name(1, view=2)),
        write(tmp_path, frame_name(6)),
        write(tmp_path, frame_name(7)),
        write(tmp_path, frame_name(8)),
        write(tmp_path, frame_name(9)),
        write(tmp_path, frame_name(10)),
        write(tmp_path, "holiday"),
        write(tmp_path, frame_name(3, number=5), gaussian_filter(FRAME, 4)),
        write(tmp_path, frame_name(3, number=6), FRAME + 273),
    ]
    return good + others


def test_everything_left_out_has_its_reason(files: list[Path]) -> None:
    chosen = select_frames(files, PATIENTS, SelectParams(balanced=False))
    assert [one.path for one in chosen.chosen] == sorted(files[:10])
    assert chosen.counts == {"healthy": 6, "sick": 4}
    reasons = {one.path.stem: one.reason for one in chosen.left_out}
    assert reasons[frame_name(1, view=2)] == "view right 45°"
    assert reasons[frame_name(6)] == "deodorant"
    assert reasons[frame_name(7)] == "single breast"
    assert reasons[frame_name(8)] == "excluded"
    assert reasons[frame_name(9)] == "patient 0009 has no diagnosis in table.csv"
    assert reasons[frame_name(10)] == "patient 0010 is not in table.csv"
    assert reasons["holiday"] == "its name does not say patient and view"
    assert "kelvin" in reasons[frame_name(3, number=6)]
    (blurred,) = chosen.blurred
    assert blurred.path.stem == frame_name(3, number=5)
    assert blurred.focus is not None
    assert blurred.focus < 1.25 < min(one.focus for one in chosen.chosen)
    assert blurred.reason == f"blurred ({blurred.focus:.2f})"


def test_filters_can_be_loosened(files: list[Path]) -> None:
    params = SelectParams(
        view="any", keep_deodorant=True, keep_single_breast=True, sharpness=0, balanced=False
    )
    stems = {one.path.stem for one in select_frames(files, PATIENTS, params).chosen}
    assert {frame_name(1, view=2), frame_name(6), frame_name(7), frame_name(3, number=5)} <= stems
    only = select_frames(files, PATIENTS, SelectParams(view="right-45", balanced=False))
    assert [one.path.stem for one in only.chosen] == [frame_name(1, view=2)]
    with pytest.raises(ThermogramError, match="No frame is left to use: static protocol"):
        select_frames(files[:10], PATIENTS, SelectParams(protocol="dynamic"))


def test_a_balanced_draw_depends_on_the_seed_and_on_nothing_else(files: list[Path]) -> None:
    first = select_frames(files, PATIENTS, SelectParams(per_class=2, seed=4))
    assert first.counts == {"healthy": 2, "sick": 2}
    assert select_frames(files[::-1], PATIENTS, SelectParams(per_class=2, seed=4)) == first
    drawn = {
        tuple(
            one.path
            for one in select_frames(files, PATIENTS, SelectParams(per_class=2, seed=s)).chosen
        )
        for s in range(6)
    }
    assert len(drawn) > 1
    assert sum(one.reason == "not drawn" for one in first.left_out) == 6
    assert select_frames(files, PATIENTS, SelectParams()).counts == {"healthy": 4, "sick": 4}


def test_too_few_frames_is_a_sentence(files: list[Path]) -> None:
    with pytest.raises(ThermogramError, match="“sick” has 4 frames that pass, and 5"):
        select_frames(files, PATIENTS, SelectParams(per_class=5))


def test_focus_falls_with_blur_and_knows_neither_unit_nor_noise() -> None:
    plain = focus_measure(FRAME)
    values = [focus_measure(gaussian_filter(FRAME, width)) for width in (0.5, 1, 2, 4)]
    assert plain > 1.4
    assert values == sorted(values, reverse=True)
    assert values[-1] < 1.25
    assert focus_measure(FRAME * 3 + 50) == pytest.approx(plain, rel=1e-4)
    noise = np.random.default_rng(0).normal(0, 0.1, SIZE)
    assert focus_measure(FRAME + noise) == pytest.approx(plain, rel=0.03)
    assert focus_measure(np.full(SIZE, 30.0)) == 1.0


@pytest.mark.realdata
def test_real_exams_are_sharp_and_blurred_ones_are_not(shared_data: Path) -> None:
    for file in sorted((shared_data / "dmr_ir" / "txt").glob("*.txt")):
        celsius = read_celsius(file)
        assert focus_measure(celsius) > 1.25
        assert focus_measure(gaussian_filter(celsius, 5)) < 1.25


def test_a_copy_beside_its_original_is_not_used_twice(files: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / files[0].name.replace(".npy", " (1).npy")
    copy.write_bytes(files[0].read_bytes())
    params = SelectParams(balanced=False, sharpness=0)
    before = select_frames(files, PATIENTS, params)
    after = select_frames([*files, copy], PATIENTS, params)
    assert [one.path for one in after.chosen] == [one.path for one in before.chosen]
    (reason,) = [one.reason for one in after.left_out if one.path == copy]
    assert reason == f"a copy of {files[0].name}"
    assert select_frames([copy, *files[1:]], PATIENTS, params).chosen[0].path == copy
