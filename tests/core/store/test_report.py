from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from napari_hemacells.core.annotate import Palette
from napari_hemacells.core.annotate.palette import palette_for
from napari_hemacells.core.detect import cells_from_boxes
from napari_hemacells.core.store.class_counts import wilson
from napari_hemacells.core.store.report import (
    ReportInput,
    gallery,
    histogram,
    render,
    write_report,
)
from napari_hemacells.core.types import SmearImage


class Page(HTMLParser):
    """The text, the table rows, the pictures and every address of a page."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.addresses, self.words, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in {"meta", "img", "br", "rect", "link"}:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        values = dict(attributes)
        self.addresses += [values[k] for k in ("src", "href") if k in values]

    def handle_endtag(self, tag):
        if tag != "rect":
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data.strip()


@pytest.fixture
def report(image, cells, annotations, prediction, palette, spec, encoder):
    return ReportInput(image, cells, annotations, prediction, palette, spec, encoder)


def test_the_counts_and_their_intervals(report):
    page = Page(render(report))
    assert page.open == []
    assert [row[:5] for row in page.rows[1:]] == [
        ["RBC", "0", "1", "1", "25.0"],
        ["WBC", "0", "1", "1", "25.0"],
        ["Platelets", "1", "1", "2", "50.0"],
        ["Total", "1", "3", "4", ""],
    ]
    assert page.rows[1][5] == "4.6\u2009–\u200969.9"


def test_too_few_annotations_show_no_confidence_as_a_number(report):
    few = replace(report, prediction=replace(report.prediction, too_few=True))
    assert "median confidence" in render(report)
    assert "median confidence" not in render(few)
    given = {"annotated": (), "palette": report.palette, "spec": report.spec}
    shown = {int(cell): report.palette.ids[0] for cell in report.cells.ids}
    rows = gallery(report.image, report.cells, shown, prediction=few.prediction, **given)
    assert {one.confidence for row in rows for one in (*row.sure, *row.unsure)} == {None}


def test_unknown_cells_are_counted_apart_and_forcing_them_is_said(report):
    verdict = np.isin(report.prediction.ids, [2, 3])
    found = replace(report.prediction, unknown=verdict.astype(np.float32), is_unknown=verdict)
    page = Page(render(replace(report, prediction=found)))
    assert ["unknown, not forced into a class", "", "", "1"] in [row[:4] for row in page.rows]
    forced = " ".join(Page(render(replace(report, prediction=replace(found, nearest=True)))).words)
    assert "unknown, not forced" not in forced
    assert re.search(r"1 of the cells counted are unlike every annotated one", forced)


def one_class(prediction):
    """The same cells, where red cells alone were annotated."""
    return replace(
        prediction, class_ids=("rbc",), probabilities=np.ones((len(prediction.ids), 1), np.float32)
    )


def test_one_class_alone_has_no_percentage(report):
    only = render(replace(report, prediction=one_class(report.prediction)))
    page = Page(only)
    assert page.rows[1] == ["RBC", "0", "3", "3", "–", "–", ""]
    words = " ".join(page.words)
    assert "Only one class is annotated: there are no shares until a second one is." in words
    assert "There is no confidence with one class alone" in words
    assert "median confidence" not in words
    assert "nan" not in words.lower()
    assert "%" in words  # the heading
    assert "1.00" not in words


def test_a_report_on_a_thermogram_speaks_of_regions(palette, spec):
    celsius = np.linspace(22, 35, 40 * 60, dtype=np.float32).reshape(40, 60)
    image = SmearImage(celsius, "e" * 16, "exam", modality="temperature")
    regions = cells_from_boxes([[5, 5, 30, 25], [5, 30, 30, 55]], image.shape, diameter=20.0)
    report = ReportInput(image, regions, {}, None, palette_for("temperature"), spec)
    words = " ".join(Page("<html>" + render(report).partition("</head>")[2]).words)
    assert "regions found" in words
    assert not re.search(r"\bcells?\b", words.lower())


def test_restandardisation_and_calibration_are_said(report):
    assert "Re-standardised" not in render(report)
    moved = replace(report.prediction, restandardised=True)
    text = render(replace(report, prediction=moved, calibration="Off by 4 points."))
    assert "Re-standardised" in text
    assert "Off by 4 points." in text


def test_wilson_against_the_formula():
    n, p, z = 50, 0.2, 1.959964
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5 / (1 + z**2 / n)
    assert wilson(10, 50) == pytest.approx((middle - half, middle + half), abs=1e-6)
    assert wilson(0, 0) == (None, None)


def test_the_page_needs_no_other_file(report):
    text = render(report)
    addresses = Page(text).addresses
    assert addresses
    assert all(one.startswith("data:image/jpeg;base64,") for one in addresses)
    assert "http" not in text
    picture = Image.open(io.BytesIO(base64.b64decode(addresses[0].split(",")[1])))
    assert picture.size == (60, 40)


def test_where_the_numbers_come_from_is_said(report):
    words = re.sub(r"\s+", " ", " ".join(Page(render(report)).words))
    for said in ("tiny", "ab" * 8, "have seen: ImageNet", "linear head", "0123456789abcdef",
                 "patient not stated", "RBC 0, WBC 0, Platelets 1", "no diagnosis",
                 "not compared with anyone", "32 × 32 px"):  # fmt: skip
        assert said in words, said


def test_counts_of_a_model_stand_for_its_training(report):
    text = render(replace(report, training_counts={"rbc": 12, "wbc": 7}, model="last week"))
    assert "RBC 12, WBC 7, Platelets 0" in text
    assert "from the model “last week”" in text


def test_the_histogram_counts_every_predicted_cell(prediction, palette):
    bars = {one.id: found for one, found in histogram(prediction, palette)}
    assert sum(map(sum, bars.values())) == 4
    assert bars["wbc"][17] + bars["wbc"][18] == 1  # 0.9 in float32 is just below or above


def test_the_gallery_shows_what_the_model_said(image, cells, prediction, palette, spec):
    shown = {2: "rbc", 3: "rbc", 7: "rbc", 9: "wbc"}
    rows = gallery(
        image, cells, shown, annotated={7, 9}, prediction=prediction, palette=palette, spec=spec
    )
    assert [(r.cell_class.id, [t.cell for t in r.sure], r.unsure) for r in rows] == [
        ("rbc", [2, 3], ()),
        ("wbc", [9], ()),
    ]


def test_names_cannot_break_the_page(report):
    palette = Palette().add("<script>alert(1)</script>")
    text = render(replace(report, palette=palette, prediction=None, annotations={}))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_without_prediction_and_without_cells(tmp_path, report, no_cells, no_prediction):
    undecided = render(replace(report, prediction=None))
    assert "No model has classified" in undecided
    assert [row[1:5] for row in Page(undecided).rows[1:]] == [
        ["0", "0", "2", "2"],  # by a person, the model, the detector, in all
        ["0", "0", "1", "1"],
        ["1", "0", "0", "1"],
        ["1", "0", "3", "4"],
    ]
    for prediction in (None, no_prediction):
        nothing = replace(report, cells=no_cells, annotations={}, prediction=prediction)
        write_report(tmp_path / "report.html", nothing)
        text = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert Page(text).open == []
        assert "No cell was found" in text


def test_the_page_names_the_detector(report):
    found = replace(report, cells=replace(report.cells, detector="classical"))
    assert "source: classical detector;" in render(found)
    assert "source: detector;" in render(report)


def test_cells_made_by_hand_are_counted_in_table_and_report(tmp_path):
    from made_up import SPEC, make_cells, make_image
    from napari_hemacells.core.annotate import ORIGIN, default_palette
    from napari_hemacells.core.store.report import ReportInput, render
    from napari_hemacells.core.store.tables import cells_table

    cells, image, palette = make_cells(5), make_image(), default_palette()
    cells.table[ORIGIN] = ["detected", "added", "merged", "added", ""]
    table = cells_table(image, cells, {}, None, palette)
    assert table[ORIGIN].tolist() == ["detected", "added", "merged", "added", "detected"]
    page = render(ReportInput(image, cells, {}, None, palette, SPEC))
    assert "corrected by hand: 2 added, 1 merged" in page
    untouched = make_cells(5)
    assert ORIGIN not in cells_table(image, untouched, {}, None, palette)
    assert "by hand" not in render(ReportInput(image, untouched, {}, None, palette, SPEC))
