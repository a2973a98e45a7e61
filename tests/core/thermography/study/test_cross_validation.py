"""Sick and healthy patients apart: figures by hand, no patient on both sides, no crash."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.thermography.study import (
    EvaluateThermogramsParams,
    ExamData,
    ThermogramExam,
    evaluate_thermograms_steps,
    read_exams,
)
from napari_hemacells.core.thermography.study.cross_validation import (
    aggregate_by_patient,
    stratified_group_splits,
    youden_threshold,
)
from napari_hemacells.core.thermography.study.models import candidate_models, make_ensemble
from napari_hemacells.core.thermography.study.roc import (
    CrossValidatedScores,
    auc,
    auc_gain,
    auc_near,
    roc_metrics,
)
from napari_hemacells.core.types import EncoderInfo
from napari_hemacells.core.types.progress import run_to_end
from napari_hemacells.samples.thermogram import synthetic_thermogram


class TinyEncoder:
    """Mean, deviation and corner of a crop."""

    info = EncoderInfo("tiny", "0" * 64, 4)
    device = "cpu"

    def encode(self, crops):
        assert crops.dtype == np.float32
        flat = crops[..., 0].reshape(len(crops), -1)
        return np.stack([flat.mean(1), flat.std(1), flat[:, 0], flat[:, -1]], 1).astype(np.float32)


def write_table(file, rows, header="exam,patient,label,date,view,protocol"):
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


@pytest.fixture(scope="module")
def frames():
    """Ten small frames of ten women."""
    return [synthetic_thermogram(seed, size=(96, 128)).celsius for seed in range(10)]


@pytest.fixture
def study(tmp_path, frames):
    """Four sick (a degree warmer) and six healthy patients, one with two exams."""
    stored, rows = {}, []
    for number, frame in enumerate(frames):
        sick = number < 4
        name = f"T{number:04d}.1.1.S.2013-01-{number + 1:02d}.00"
        stored[name] = np.round((frame + (1.0 if sick else 0.0)) * 100).astype(np.uint16)
        label = "sick" if sick else "Healthy"
        rows.append(f"{name},{number:04d},{label},2013-01-{number + 1:02d},1,S")
    stored["again"] = stored["T0000.1.1.S.2013-01-01.00"] + 10
    rows.append("again,0,sick,2013-02-01,1,S")
    rows.append("missing,77,healthy,,1,S")
    np.savez(tmp_path / "data.npz", **stored)
    return read_exams(write_table(tmp_path / "exams.csv", rows)), tmp_path / "data.npz"


def run(exams, data, **params):
    steps = evaluate_thermograms_steps(
        exams, ExamData.of(data), EvaluateThermogramsParams(**params), TinyEncoder()
    )
    return run_to_end(steps)


# --- the figures ---------------------------------------------------------------------------------


def test_auc_is_scikit_learns():
    rng = np.random.default_rng(0)
    sick = rng.random(60) < 0.4
    scores = np.round(rng.normal(size=60) + sick, 1)  # with ties
    assert auc(sick, scores) == pytest.approx(roc_auc_score(sick, scores))


def test_auc_of_one_class_is_not_a_number():
    assert np.isnan(auc(np.ones(3, bool), np.arange(3.0)))


def test_near_auc_forgets_what_only_time_tells():
    days = np.array([0.0, 10, 1000, 1010])
    sick = np.array([False, True, False, True])
    scores = np.array([2.0, 1, 4, 3])  # grows with the date, but not from healthy to sick
    assert auc(sick, scores) == 0.25
    assert auc_near(sick, scores, days) == 0.0
    assert np.isnan(auc_near(sick, scores, np.full(4, np.nan)))


def test_figures_are_means_over_repeats():
    sick = np.array([True, True, False, False])
    scores = np.array([[4.0, 3, 2, 1], [1.0, 2, 3, 4]])
    called = np.array([[1, 1, 0, 0], [0, 1, 1, 1]], bool)
    told = roc_metrics(CrossValidatedScores(scores, called), sick, np.zeros(4), seed=0)
    assert told["auc"] == 0.5
    assert told["sensitivity"] == 0.75
    assert told["specificity"] == 0.5
    assert told["ci95"][0] <= told["auc"] <= told["ci95"][1]


def test_gain_over_oneself_is_none():
    scores = np.random.default_rng(0).normal(size=(2, 20))
    own = CrossValidatedScores(scores, scores > 0)
    assert auc_gain(own, own, np.arange(20) < 8, seed=0) == {"auc_gain": 0.0, "ci95": [0.0, 0.0]}


def test_best_limit_is_between_the_classes():
    scores = np.array([1.0, 2, 3, 10, 11])
    assert youden_threshold(scores, scores > 5) == 6.5


def test_a_patient_is_the_mean_of_her_exams():
    told = aggregate_by_patient(
        CrossValidatedScores(np.array([[1.0, 3.0, 5.0]]), np.array([[True, False, True]])),
        np.array([0, 0, 1]),
        2,
    )
    np.testing.assert_array_equal(told.scores, [[2.0, 5.0]])
    np.testing.assert_array_equal(told.called, [[True, True]])


def test_no_patient_is_on_both_sides():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(15), 3)
    sick = np.repeat(rng.permutation(15) < 6, 3)
    judged = []
    for folds in stratified_group_splits(sick, groups, folds=5, repeats=3, seed=0):
        for learn, judge in folds:
            assert not set(groups[learn]) & set(groups[judge])
            judged += judge.tolist()
    assert sorted(judged) == sorted(list(range(45)) * 3)


def test_together_ranks_what_either_group_tells():
    rng = np.random.default_rng(0)
    sick = np.arange(60) < 30
    values = rng.normal(size=(60, 6))
    values[:, 0] += 2 * sick
    values[:, 4] += 2 * sick
    names = ["absolute.a", "absolute.b", "absolute.c", "embedding.0", "embedding.1", "embedding.2"]
    both = make_ensemble(names).fit(values, sick)
    one = make_ensemble(names[:3]).fit(values[:, :3], sick)
    assert auc(sick, both.predict_proba(values)[:, 1]) > auc(
        sick, one.predict_proba(values[:, :3])[:, 1]
    )


def test_the_room_is_no_column_of_the_method():
    names = ["absolute.body.p50", "embedding.0000", "relative.apart.mean", "scene.room"]
    for name in ("method", "region_table", "method_without_absolute"):
        assert "scene.room" not in candidate_models()[name].columns(names)
    assert candidate_models()["method_without_absolute"].columns(names) == ["embedding.0000"]


# --- the whole -----------------------------------------------------------------------------------


def test_report_has_the_written_shape(study):
    report = run(*study, folds=3, repeats=2)
    assert set(report["baselines"]) == {
        "max_temperature", "mean_temperature", "left_right_difference", "region_table",
    }  # fmt: skip
    for own in (report["method"], *report["baselines"].values()):
        assert {"auc", "ci95", "sensitivity", "specificity"} <= set(own)
        assert len(own["ci95"]) == 2
    assert report["n_patients"] == 10
    assert report["n_sick"] == 4
    assert report["n_frames"] == 11
    assert report["left_out"] == ["missing: not found"]
    assert report["split"].startswith("whole patients")
    assert report["warning"] is None


def test_the_same_seed_gives_the_same_figures(study):
    assert run(*study, folds=2, repeats=2) == run(*study, folds=2, repeats=2)


def test_fewer_patients_than_folds_make_fewer_folds(study):
    assert "4 folds" in run(*study, folds=10, repeats=1)["split"]


def test_a_split_by_image_flatters_and_says_so(study):
    exams, data = study
    rng = np.random.default_rng(3)
    labels = rng.permutation([True] * 5 + [False] * 5)  # nothing can be learned from these
    made_up = [
        dataclasses.replace(one, sick=bool(labels[place]))
        for place, one in enumerate(exams[: len(labels)])
    ]
    by_image = run(made_up, data, folds=5, repeats=1, split="image", copies=4)
    assert by_image["checks"]["nearest_frame"]["auc"] > 0.9
    assert "SPLIT BY IMAGE" in by_image["warning"]
    assert by_image["n_frames"] == 40


def test_a_folder_of_text_is_read_by_exam_names(tmp_path, frames):
    for number, frame in enumerate(frames[:5]):
        np.savetxt(tmp_path / f"T{number:04d}.1.1.S.2013-01-01.00.txt", frame, fmt="%.2f")
    data = ExamData.of(tmp_path)
    read = data.celsius("T0003.1.1.S.2013-01-01.00")
    np.testing.assert_array_equal(read, np.round(frames[3].astype(float), 2).astype(np.float32))
    assert data.celsius("T9") is None


def test_endings_do_not_matter(tmp_path):
    np.savez(tmp_path / "x.npz", **{"T0001.1.1.S.2013-01-01.00.txt": np.full((20, 20), 31.25)})
    data = ExamData.of(tmp_path / "x.npz")
    assert data.celsius("T0001.1.1.S.2013-01-01.00") is not None
    np.save(tmp_path / "T0002.1.1.S.2013-01-01.00.npy", np.full((20, 20), 30.0))
    assert ExamData.of(tmp_path).celsius("T0002.1.1.S.2013-01-01.00.txt") is not None


def test_side_views_are_left_out(study):
    exams, data = study
    turned = [dataclasses.replace(exams[-2], frontal=False), *exams[:-2]]
    assert "again: not seen from the front" in run(turned, data, folds=2, repeats=1)["left_out"]


def test_damaged_data_is_refused(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK nothing")
    with pytest.raises(ThermogramError, match="cannot be read"):
        ExamData.of(tmp_path / "x.npz").celsius("a")


def test_whole_numbers_are_hundredths_and_floats_degrees(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.full((20, 20), 3125, np.uint16), b=np.full((20, 20), 31.25))
    data = ExamData.of(tmp_path / "x.npz")
    assert data.celsius("a")[0, 0] == data.celsius("b")[0, 0] == np.float32(31.25)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["a,1,sick,,1,S", "b,2,unwell,,1,S"], "Line 3"),
        (["a,1,sick,,1,S", "b,01,healthy,,1,S"], "both healthy and sick"),
        (["a,1,sick,,1,S", "b,2,healthy,,1,S", "c,3,healthy,,1,S"], "Two sick patients"),
        ([",1,sick,,1,S"], "Line 2"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(tmp_path, rows, said):
    with pytest.raises(ThermogramError, match=said):
        read_exams(write_table(tmp_path / "exams.csv", rows))


def test_a_table_without_a_column_is_refused(tmp_path):
    table = write_table(tmp_path / "exams.csv", ["a,1"], header="exam,patient")
    with pytest.raises(ThermogramError, match="needs the columns"):
        read_exams(table)


def test_data_that_is_nowhere_is_refused(tmp_path):
    with pytest.raises(ThermogramError, match="neither"):
        ExamData.of(tmp_path / "nothing.npz")
    with pytest.raises(ThermogramError, match="no file with temperatures"):
        ExamData.of(tmp_path)


def test_exams_without_any_temperature_are_refused(tmp_path, study):
    _, data = study
    others = [ThermogramExam(f"x{n}", str(n), n < 2) for n in range(4)]
    with pytest.raises(ThermogramError, match="None of the 4 exams"):
        run(others, data)


def test_two_files_of_one_exam_are_refused_and_hidden_ones_are_none(tmp_path):
    name = "T0002.1.1.S.2013-01-01.00.txt"
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        np.savetxt(tmp_path / folder / name, np.full((20, 20), 31.0))
    (tmp_path / "a" / f"._{name}").write_bytes(b"left by a system")
    with pytest.raises(ThermogramError, match=r"2 files are called T0002.*keep one"):
        ExamData.of(tmp_path).celsius(name)
    assert ExamData.of(tmp_path / "a").celsius(name).shape == (20, 20)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_exams_of_any_encoding_and_separator_are_read(tmp_path, encoding):
    rows = "".join(f"é{n};p{n};{('healthy', 'sick')[n % 2]}\n" for n in range(4))
    (tmp_path / "e.csv").write_bytes(f"Exam;Patient;Label\n{rows}".encode(encoding))
    assert [exam.name for exam in read_exams(tmp_path / "e.csv")] == ["é0", "é1", "é2", "é3"]
