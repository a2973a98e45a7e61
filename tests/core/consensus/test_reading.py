"""Annotators' points from files: tables, Cell Spotting answers, PyBossa task runs."""

from __future__ import annotations

import ast
import csv
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from napari_hemacells.core.consensus import (
    joined_points,
    points_from_rows,
    read_annotator_points,
    read_project_points,
)
from napari_hemacells.core.consensus.points import standard_class
from napari_hemacells.core.consensus.reading import parse_literal_list
from napari_hemacells.core.errors import AnnotationError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

ANSWER = "[[u'alive', 97, 17], [u'not_sure_alive', 195.5, -3]]"


def test_a_table_of_points(tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    file.write_text(
        "image;annotator;row;column;class\nb.png;Ana;10,;20;RBC\n".replace("10,", "10")
        + "a.png;Ben;1.5;2.5;WBC\na.png;Ana;;;\n"
    )
    points = read_annotator_points(file)
    assert points.images == ("a.png", "b.png")
    assert points.annotators == ("Ana", "Ben")
    assert points.classes == ("RBC", "WBC")
    assert sorted(points.position.tolist()) == [[1.5, 2.5], [10, 20]]
    assert points.lookers.tolist() == [[True, True], [True, False]]  # Ana saw nothing in a.png
    assert not points.has_states


def test_a_table_without_annotators_is_one_annotators(tmp_path: Path) -> None:
    for name in ("Ana", "Ben"):
        (tmp_path / f"{name}.csv").write_text("image,y,x,label\na.png,1,2,RBC\n")
    both = joined_points([read_annotator_points(tmp_path / f"{n}.csv") for n in ("Ana", "Ben")])
    assert both.annotators == ("Ana", "Ben")
    assert len(both) == 2


def test_cell_spotting_answers_and_their_states(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    with file.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["alive_array", "release_array", "task"])
        table.writerow([ANSWER, "[]", "http://x/img/frame-2"])
        table.writerow(["[[u'dead', 5, 6]]", "[[u'release', 1, 2]]", "http://x/img/frame-2"])
        table.writerow(["[]", "[]", "http://x/img/frame-10"])
    points = read_annotator_points(file)
    assert points.images == ("frame-2", "frame-10")
    assert points.annotators == ("answer 1", "answer 2")
    assert points.anonymous
    assert points.classes == ("alive", "dead", "not sure")
    assert points.position.tolist() == [[17, 97], [-3, 195.5], [6, 5]]  # x and y in the file
    assert points.states.tolist() == [1, 0.5, 0]
    assert points.lookers.sum() == 3
    assert len(read_annotator_points(file, "release")) == 1
    with pytest.raises(AnnotationError, match="choose one of alive, release"):
        read_annotator_points(file, "colour")


def test_pybossa_runs_as_objects_and_as_text(tmp_path: Path) -> None:
    file = tmp_path / "task_run.json"
    info = {"alive_array": ANSWER, "task": "http://x/f1"}
    listed = {"alive_array": [["dead", 1, 2]], "task": "http://x/f1"}
    runs = [
        {"user_id": 7, "task_id": 1, "info": info},
        {"user_id": 8, "task_id": 1, "info": json.dumps(listed)},
    ]
    file.write_text(json.dumps(runs))
    points = read_annotator_points(file)
    assert points.annotators == ("user 7", "user 8")
    assert points.images == ("f1",)
    assert len(points) == 3
    assert not points.anonymous


@pytest.mark.parametrize(
    "hostile",
    [
        "__import__('os').system('true')",
        "[['alive', 1, 2]] + [['alive', 1, 2]]",
        "[['alive', 1, 2]",
        "{'alive': 1}",
        "[" * 500 + "]" * 500,
        "[['alive', open('/etc/passwd'), 2]]",
        "[\x00]",
    ],
)
def test_only_plain_lists_are_read(hostile: str) -> None:
    with pytest.raises(ValueError, match="list"):
        parse_literal_list(hostile)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alive_array,task\n\"[['alive', 1]]\",a\n", "line 2: .*no point"),
        ("alive_array,task\n\"[['alive', True, 1]]\",a\n", "no point"),
        ('alive_array,task\n"[[1, 1, 1]]",a\n', "no point"),
        ("alive_array,task\n\"[['alive', 1e400, 1]]\",a\n", "no point"),
        ("alive_array,task\nexit(),a\n", "no list of points"),
        ("alive_array\n[]\n", "no column “task”"),
        ("image,annotator,row,column\na,b,x,1\n", "line 2: .*no row and column"),
        ("image,annotator,row,column\na,b,nan,1\n", "is on no image"),
        ("image,annotator,row,column\na,b,1e300,1\n", "is on no image"),
        ("image,annotator,row,column\na,,1,1\n", "names no annotator"),
        ("image,annotator,row\na,b,1\n", "no column column"),
        ("image,annotator,row,column\n", "no points"),
        ("[1, 2]", "no task run"),
        ('[{"info": "{"}]', "no answer"),
        ('[{"info": {"alive_array": 5}}]', "no list of points"),
        ("[" * 5000, "no JSON"),
        ("", "empty"),
    ],
)
def test_a_wrong_file_is_refused_by_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text(text)
    with pytest.raises(AnnotationError, match=said):
        read_annotator_points(file)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"none\.csv cannot be read"):
        read_annotator_points(tmp_path / "none.csv")


def test_words_for_a_state_are_one_word() -> None:
    assert standard_class("Not_Sure_Alive") == "not sure"
    assert standard_class(" LIVE ") == "alive"
    assert standard_class("Band cell") == "Band cell"


def test_points_of_some_images_only() -> None:
    points = points_from_rows(
        [("a", "x", 1, 2, ""), ("b", "y", 3, 4, "RBC")], [("a", "y"), ("c", "x")]
    )
    part = points.of_images(["b", "c"])
    assert part.images == ("b", "c")
    assert part.position.tolist() == [[3, 4]]
    assert part.lookers.tolist() == [[False, True], [True, False]]


def test_annotations_of_two_projects(tmp_path: Path) -> None:
    from napari_hemacells.core import annotate
    from napari_hemacells.core.image import image_from_array
    from napari_hemacells.core.store import Project
    from napari_hemacells.core.types import CellRef

    image = image_from_array(__import__("numpy").zeros((40, 40, 3), "uint8"), name="smear")
    for folder, col in (("first", 5.0), ("second", 8.0)):
        project = Project.create(tmp_path / folder, folder)
        project.add_image(image)
        history = project.open_history("haema", None)
        class_id = history.state.palette.ids[1]
        history.do(annotate.SetLabels(((CellRef(image.key, 1), 7.0, col),), class_id, "haema"))
        history.close()
    points = read_project_points([tmp_path / "first", tmp_path / "second"])
    assert points.images == ("smear",)
    assert points.annotators == ("haema (first)", "haema (second)")
    assert points.position.tolist() == [[7, 5], [7, 8]]
    assert points.classes == ("WBC",)


@pytest.mark.realdata
def test_all_answers_of_cell_spotting_are_read(cell_spotting: Path) -> None:
    points = read_annotator_points(cell_spotting)
    with cell_spotting.open(newline="") as stream:
        records: list[dict[str, Any]] = list(csv.DictReader(stream))
    assert len(points.looked) == len(records) == 999
    assert len(points.images) == 800
    shared = Counter(Counter(record["task"] for record in records).values())
    assert shared == {1: 620, 2: 161, 3: 19}
    looked = Counter(points.lookers.sum(axis=1).tolist())
    assert looked == shared
    expected = [p for record in records for p in ast.literal_eval(record["alive_array"])]
    assert len(points) == len(expected) == 8004
    assert points.position.tolist() == [[y, x] for _, x, y in expected]
    alive = int((points.response == points.classes.index("alive")).sum())
    assert alive == sum(int(record["cells_alive"]) for record in records) == 5153
