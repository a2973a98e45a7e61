"""Several architectures, one table."""

import csv

import pytest

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.classifier.benchmark import compare_architectures_steps
from napari_hemacells.core.train.classifier.comparison import HEADING
from napari_hemacells.core.train.classifier.config import ClassifierConfig
from napari_hemacells.core.train.classifier.variants import comparison_variants
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
    assert "validation accuracy" in table[0]
    assert "test accuracy" not in table[0]  # there is no test part
    page = found.page.read_text()
    assert "test_byobnet" in page
    assert "resnet-18 was not trained" in page
    assert page.count("<svg") == 1
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_no_architecture_at_all_is_an_error(job):
    with pytest.raises(TrainingError, match="None of the architectures"):
        run_to_end(compare_architectures_steps(job(), ["resnet-18"]))


def test_any_parameter_can_be_compared_in_all_combinations():
    words = ["mix=none", "mixup", "smoothing=0", "0.1", "body=frozen", "tuned"]
    found = comparison_variants(ClassifierConfig(frozen_epochs=2, epochs=3), words)
    assert len(found) == 8
    assert found[-1].name == "mix=mixup, smoothing=0.1, body=tuned"
    assert (found[-1].recipe.mix, found[-1].recipe.smoothing) == ("mixup", 0.1)
    assert (found[-2].recipe.frozen_epochs, found[-2].recipe.epochs) == (5, 0)
    sizes = comparison_variants(ClassifierConfig(), ["size=32", "auto", "batch=8"])
    assert [(one.recipe.size, one.recipe.batch) for one in sizes] == [(32, 8), (None, 8)]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["colour=red"], "no parameter “colour”"),
        (["smoothing=2"], "“smoothing” cannot be '2'"),
        (["body=half"], "frozen or tuned"),
        ([], "Say what to compare"),
        ([f"seed={','.join(map(str, range(3)))}", "batch=2"], "“seed” cannot be"),
        (["seed=0", *map(str, range(1, 65))], "65 trainings"),
    ],
)
def test_what_cannot_be_compared_is_refused(words, reason):
    with pytest.raises(TrainingError, match=reason):
        comparison_variants(ClassifierConfig(), words)


def test_frozen_against_tuned_with_a_test_part(job):
    steps = compare_architectures_steps(job(epochs=1, test=0.3), ["body=frozen", "tuned"])
    found = run_to_end(steps)
    heading, rows = found.table()
    assert "test accuracy" in heading
    assert [row[0] for row in rows] == ["body=frozen", "body=tuned"]
    for record in found.records():
        low, value, high = (
            record[name] for name in ("test accuracy low", "test accuracy", "test accuracy high")
        )
        assert low <= value <= high
        assert record["milliseconds a crop"] > 0
    splits = {(one.folder / "split.csv").read_text() for one in found.outcomes}
    assert len(splits) == 1
