"""Several architectures, one table."""

import csv

import pytest

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.classifier.benchmark import HEADING, compare_architectures_steps
from napari_hemacells.core.types.progress import run_to_end


def test_it_writes_a_row_an_architecture(job):
    found = run_to_end(
        compare_architectures_steps(job(epochs=1), ["test_resnet", "test_byobnet", "resnet-18"])
    )
    assert [row[0] for row in found.rows] == ["test_resnet", "test_byobnet"]
    assert list(found.failed) == ["resnet-18"]
    with (found.folder / "compare.csv").open(newline="", encoding="utf-8-sig") as stream:
        heading, *rows = list(csv.reader(stream))
    assert heading == list(HEADING)
    assert len(rows) == 2
    parameters = [int(row[heading.index("parameters")]) for row in rows]
    assert parameters[0] != parameters[1]
    table = (found.folder / "compare.md").read_text().splitlines()
    assert len(table) == 4
    assert table[0].count("|") == len(HEADING) + 1


def test_no_architecture_at_all_is_an_error(job):
    with pytest.raises(TrainingError, match="None of the architectures"):
        run_to_end(compare_architectures_steps(job(), ["resnet-18"]))
