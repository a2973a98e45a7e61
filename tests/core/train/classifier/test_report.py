"""The report of a training: one page with everything in it."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from made_up_discs import SMALL, add_discs, disc
from napari_hemacells.core.errors import StorageError, TrainingError
from napari_hemacells.core.evaluate.classification_metrics import compute_classification_metrics
from napari_hemacells.core.train.classifier import ClassifierConfig
from napari_hemacells.core.train.classifier.cross_validation import cross_validate_steps
from napari_hemacells.core.train.classifier.pipeline import train
from napari_hemacells.core.train.classifier.report import (
    build,
    write_report_steps,
)
from napari_hemacells.core.train.classifier.report import (
    text as words,
)
from napari_hemacells.core.train.classifier.report.galleries import (
    overlay_heatmap,
    picture_lists,
)
from napari_hemacells.core.train.classifier.results import parse_metrics, read_results
from napari_hemacells.core.train.classifier.training import TrainJob
from napari_hemacells.core.types.progress import run_to_end


class Page(HTMLParser):
    """Addresses and text of a page."""

    def __init__(self, html):
        super().__init__()
        self.addresses, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.addresses += [
            value for name, value in attrs if name in {"src", "href", "xlink:href"} and value
        ]

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def colours_for_encoder(monkeypatch):
    """Look for wrong labels by colour: the packaged network is not the point here."""
    from napari_hemacells.core.encode.colour_histogram import ColourHistogram

    monkeypatch.setattr(build, "bundled_encoder", ColourHistogram)
    monkeypatch.setattr(build, "EmbeddingCache", lambda folder: None)


@pytest.fixture
def trained(tmp_path, colours_for_encoder):
    """A finished training on two colours, one picture of which is in the wrong folder."""
    for name in ("red", "violet"):
        add_discs(tmp_path / "discs", name, 24)
    Image.fromarray(disc("violet", 99)).save(tmp_path / "discs" / "red" / "wrong.png")
    job = TrainJob(
        tmp_path / "discs",
        tmp_path / "run",
        ClassifierConfig(**{**SMALL, "test": 0.25, "rate": None, "epochs": 4, "tta": 1}),
        "a < b",
        command="hemacells train discs --out run",
        report=True,
    )
    return train(job)


def test_it_is_one_page_that_needs_nothing_else(trained):
    page = Page(trained.report.read_text())
    assert trained.report == trained.folder / "report.html"
    assert len(page.addresses) > 20
    assert all(one.startswith(("data:image/jpeg;base64,", "#")) for one in page.addresses)
    html = trained.report.read_text()
    assert "http" not in re.sub(r"xmlns(:\w+)?=\"[^\"]*\"", "", html)
    assert "@import" not in html


def test_it_says_what_was_measured_on_what_and_how_to_repeat_it(trained):
    text = " ".join(Page(trained.report.read_text()).text.split())
    figures = read_results(trained.folder).figures
    assert f"Of {figures.n} cells of the test part" in text
    for said in (
        "a < b", "sensitivity (violet)", "specificity", "ROC AUC", "Cohen’s κ", "ungrouped",
        "hemacells train discs --out run", "Loss at each learning rate", "Each class",
        "nothing was chosen by them", "from nothing", "Seed", "SHA-256", "torch",
        "Most certain and wrong", "Most uncertain", "calibration error", "no diagnosis",
    ):  # fmt: skip
        assert said in text or said in trained.report.read_text(), said


def test_labels_that_may_be_wrong_are_shown(trained):
    suspects = read_results(trained.folder).suspects
    assert suspects[0].name == "red/wrong.png"
    assert suspects[0].flagged
    text = Page(trained.report.read_text()).text
    assert "labels are doubted" in text
    assert "violet?" in text


def test_every_list_has_heat_maps_and_every_class_lists_of_its_own(trained):
    html = trained.report.read_text()
    lists = picture_lists(read_results(trained.folder))
    assert html.count("heat map of") == sum(len(one.items) for one in lists)
    for name in ("red", "violet"):
        own = next(one for one in lists if one.title.startswith(f"{name}:"))
        assert f"{name}: worst, best, most uncertain" in html
        assert own.kinds[0] == "worst"
        assert all(item.label == name for item in own.items)
        assert len({item.name for item in own.items}) == len(own.items)
    assert "Pictures of each class" in html  # class balance as bars


def test_it_can_be_written_again_when_the_pictures_are_gone(trained, tmp_path):
    shutil.rmtree(tmp_path / "discs")
    again = run_to_end(write_report_steps(trained.folder))
    assert "file not found" in again.read_text()
    assert "labels are doubted" in again.read_text()


def test_labels_are_looked_at_again_when_the_pictures_are_others(trained, tmp_path):
    first = read_results(trained.folder).suspects
    add_discs(tmp_path / "discs", "violet", 3, first=60)
    job = TrainJob(
        tmp_path / "discs", trained.folder, ClassifierConfig(**{**SMALL, "epochs": 0}), report=True
    )
    train(job)
    assert len(read_results(trained.folder).suspects) == len(first) + 3


def test_validation_alone_is_called_a_little_too_good(job, colours_for_encoder):
    done = train(job(epochs=1))
    assert done.report is None
    file = run_to_end(write_report_steps(done.folder, labels=False))
    text = " ".join(Page(file.read_text()).text.split())
    assert "of the validation part" in text
    assert "a little too good" in text


def test_a_cross_validation_has_a_report(tmp_path, discs, colours_for_encoder):
    recipe = ClassifierConfig(**{**SMALL, "epochs": 1})
    job = TrainJob(discs, tmp_path / "cv", recipe, "discs", report=True)
    found = run_to_end(cross_validate_steps(job, 2))
    text = " ".join(Page(found.report.read_text()).text.split())
    assert "2 folds by turns" in text
    assert "Networks of a cross-validation" in text
    assert not list(tmp_path.glob("cv/fold*/report.html"))
    assert len(read_results(found.folder).suspects) == 32


def test_without_extras_it_says_how_to_get_them(job, monkeypatch, colours_for_encoder):
    from napari_hemacells.core.train.classifier import gradcam, label_noise

    def no_heat():
        raise TrainingError(gradcam.MISSING)

    def no_labels():
        raise TrainingError(label_noise.MISSING)

    monkeypatch.setattr(gradcam, "_library", no_heat)
    monkeypatch.setattr(label_noise, "_cleanlab", no_labels)
    done = train(job(epochs=0))
    text = Page(run_to_end(write_report_steps(done.folder)).read_text()).text
    assert text.count("pip install 'napari-hemacells[report]'") == 2


def test_a_report_that_cannot_be_written_does_not_cost_the_model(
    discs, tmp_path, monkeypatch, colours_for_encoder
):
    def full(path, data):
        raise StorageError("“report.html” was not saved: the disk is full.")

    monkeypatch.setattr(build, "write_bytes", full)
    job = TrainJob(
        discs, tmp_path / "run", ClassifierConfig(**{**SMALL, "epochs": 0}), report=True
    )
    done = train(job)
    assert done.report is None
    assert (done.model / "model.json").is_file() or any(done.model.iterdir())
    assert any("The report was not written" in one for one in done.notes)


def test_an_unfinished_training_has_none(tmp_path):
    with pytest.raises(TrainingError, match="no finished training"):
        run_to_end(write_report_steps(tmp_path))


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (None, "draws of cells"),
        (["p0"] * 6, "None, as all these cells come from one group"),
        (["p0", "p1"] * 3, "the 2 groups (patients, slides). So few groups"),
    ],
)
def test_intervals_say_what_they_stand_on(groups, said):
    truth = np.array([0, 1, 0, 1, 0, 1])
    found = compute_classification_metrics(truth, np.eye(2)[truth], "ab", groups=groups, draws=10)
    (figures,) = parse_metrics({"validation": found}).values()
    assert said in words.describe_intervals(figures)


def test_heat_hides_nothing_where_it_is_cold():
    crop = np.full((4, 4, 3), 90, np.uint8)
    heat = np.zeros((4, 4), np.float32)
    heat[1, 2] = 1.0
    shown = overlay_heatmap(crop, heat)
    assert np.array_equal(shown[0], crop[0])
    assert shown[1, 2, 0] > 200
    assert shown[1, 2, 2] < 90
