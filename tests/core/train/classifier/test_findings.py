"""What a training's folder says of its pictures."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.evaluate.classification_metrics import compute_classification_metrics
from napari_hemacells.core.train.classifier.artifacts import write_csv, write_json
from napari_hemacells.core.train.classifier.results import check_run, read_results, read_suspects

CLASSES = ("a", "b", "c")
SAID = np.array(
    [
        [0.9, 0.1, 0],
        [0.2, 0.8, 0],
        [0.3, 0.7, 0],
        [0.01, 0.98, 0.01],
        [0, 0.4, 0.6],
        [0, 0.45, 0.55],
    ]
)
GIVEN = np.array([0, 0, 1, 1, 2, 1])


def told(parts, folder, copies=0):
    """Write what a training leaves: six pictures in each of the parts."""
    figures = compute_classification_metrics(GIVEN, SAID, CLASSES, draws=50)
    if copies:
        wrong = compute_classification_metrics(GIVEN, np.roll(SAID, 1, axis=1), CLASSES, draws=50)
        figures = wrong | {"tta": figures | {"copies": copies}}
    write_json(folder / "figures.json", dict.fromkeys(parts, figures))
    write_json(folder / "run.json", {"command": "hemacells train x"})
    rows = [
        (f"{CLASSES[given]}/{n}.png", f"/x/{n}.png", CLASSES[given], CLASSES[row.argmax()],
         row.max(), -math.log(max(row[given], 1e-12)), *row)
        for n, (given, row) in enumerate(zip(GIVEN, SAID, strict=True))
    ]  # fmt: skip
    heading = ("name", "path", "label", "predicted", "confidence", "loss", "p_a", "p_b", "p_c")
    files = {"pooled": "out_of_fold.csv"}
    for part in parts:
        write_csv(folder / files.get(part, f"{part}.csv"), heading, rows)
    split = ((name, label, f"patient{n}", "", "x") for n, (name, _, label, *_) in enumerate(rows))
    write_csv(folder / "split.csv", ("path", "label", "group", "digest", "part"), split)
    return folder


@pytest.fixture
def found(tmp_path):
    return read_results(told(["validation"], tmp_path))


def names(items):
    return [one.key for one in items]


def test_figures_are_those_of_the_file(found):
    assert found.part == "validation"
    assert found.figures.accuracy.value == pytest.approx(4 / 6, abs=1e-5)
    assert found.figures.accuracy.low <= 4 / 6 <= found.figures.accuracy.high
    assert [one.n for one in found.figures.classes] == [2, 3, 1]
    assert found.figures.classes[1].recall.value == pytest.approx(2 / 3, abs=1e-5)
    assert found.run["command"] == "hemacells train x"


def test_the_confusion_matrix_has_its_pictures(found):
    assert found.confusion.counts.tolist() == [[1, 1, 0], [0, 2, 1], [0, 0, 1]]
    assert found.confusion.normalised[1].tolist() == pytest.approx([0, 2 / 3, 1 / 3])
    assert names(found.cell("b", "b")) == ["3", "2"]
    assert names(found.cell("a", "b")) == ["1"]
    assert found.cell("a", "c") == ()
    pairs = [(one.label, one.predicted, one.count) for one in found.confusion.pairs()]
    assert pairs == [("a", "b", 1), ("b", "c", 1)]


def test_a_class_that_did_not_occur_has_no_share(found):
    confusion = type(found.confusion)(("a", "b"), np.array([[2, 0], [0, 0]]))
    assert np.isnan(confusion.normalised[1]).all()


def test_pictures_to_look_at_come_in_order(found):
    assert names(found.highest_losses(2)) == ["1", "5"]
    assert names(found.most_certain(right=True, n=2)) == ["3", "0"]
    assert names(found.most_certain(right=False)) == ["1", "5"]
    assert names(found.most_uncertain(2)) == ["5", "4"]
    assert {one.group for one in found.items} == {f"patient{n}" for n in range(6)}


@pytest.mark.parametrize(
    ("parts", "best"),
    [
        (["validation", "test"], "test"),
        (["pooled"], "out-of-fold"),
        (["validation"], "validation"),
    ],
)
def test_the_part_that_can_be_trusted_most_comes_first(parts, best, tmp_path):
    assert read_results(told(parts, tmp_path)).part == best


def test_averaged_copies_have_their_own_figures(tmp_path):
    found = read_results(told(["validation"], tmp_path, copies=3))
    assert found.figures.copies == 3
    assert found.figures.accuracy.value == pytest.approx(4 / 6, abs=1e-5)


def test_suspects_are_read_worst_first(tmp_path):
    assert read_suspects(tmp_path / "none.csv") == ()
    heading = ("name", "path", "label", "suggested", "score", "confidence", "flagged")
    write_csv(tmp_path / "s.csv", heading, [("a/1.png", "/x/1.png", "a", "b", 0.1, 0.9, 1)])
    (one,) = read_suspects(tmp_path / "s.csv")
    assert (one.key, one.suggested, one.score, one.flagged) == ("1", "b", 0.1, True)


def test_two_classes_have_a_curve(tmp_path):
    told(["validation"], tmp_path)
    two = compute_classification_metrics(
        np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), "ab", draws=20
    )
    write_json(tmp_path / "figures.json", {"validation": two})
    rows = [("1", "1", "a", "b", 0.5, 0.5, 0.5, 0.5)]
    write_csv(
        tmp_path / "validation.csv",
        ("name", "path", "label", "predicted", "confidence", "loss", "p_a", "p_b"),
        rows,
    )
    binary = read_results(tmp_path).figures.binary
    assert binary.positive == "b"
    assert binary.sensitivity.value == 0.5
    assert binary.specificity.value == 1.0
    assert binary.roc[0] == (0, 0)
    assert binary.roc[-1] == (1, 1)


def test_an_unfinished_training_is_told(tmp_path):
    with pytest.raises(TrainingError, match="no finished training"):
        read_results(tmp_path)


def _without(key):
    def change(content):
        del content["validation"][key]

    return change


def _set(*path_and_value):
    *path, last, value = path_and_value

    def change(content):
        for key in path:
            content = content[key]
        content[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _without("accuracy"),
        _without("classes"),
        _set("validation", "n", "many"),
        _set("validation", "kappa", 3),
        _set("validation", "reliability", {"from": 1}),
        _set("validation", "classes", "a", "recall", None),
        _set("validation", "classes", {}),
    ],
)
def test_figures_of_something_else_are_an_unfinished_training(tmp_path, change):
    told(["validation"], tmp_path)
    content = json.loads((tmp_path / "figures.json").read_text())
    change(content)
    (tmp_path / "figures.json").write_text(json.dumps(content))
    with pytest.raises(TrainingError, match="holds no finished training"):
        read_results(tmp_path)


@pytest.mark.parametrize("content", ["[]", "3", "[" * 100_000, '{"counts": {"a": "x"}}', "{"])
def test_a_run_of_something_else_is_an_unfinished_training(tmp_path, content):
    told(["validation"], tmp_path)
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(TrainingError, match="holds no finished training"):
        read_results(tmp_path)


def test_a_run_that_lacks_what_a_report_tells_is_named(found):
    with pytest.raises(TrainingError, match=r"lacks .*data_sha256"):
        check_run(found)


@pytest.mark.parametrize(
    "table", ["name,path\n", "name,path,label,suggested,score,confidence,flagged\na,b,c,d,x,y,1\n"]
)
def test_a_damaged_table_of_suspects_is_named(tmp_path, table):
    told(["validation"], tmp_path)
    (tmp_path / "suspects.csv").write_text(table + "a,b\n" * ("score" not in table))
    with pytest.raises(TrainingError, match="check the labels again"):
        read_results(tmp_path)
