from __future__ import annotations

from html.parser import HTMLParser

from napari_hemacells.core.train.html_report import ReportTable, TrainingPage, render
from napari_hemacells.core.train.learning_curves import Curves, curves_svg
from napari_hemacells.core.train.progress import TrainingReport


class Links(HTMLParser):
    """Every address that a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in {"src", "href"} and value]


def page() -> TrainingPage:
    curves = Curves()
    curves.add(TrainingReport(1, 2, losses={"total": 1.5}, metrics={"F1 all": 0.5, "F1 RBC": 0.4}))
    curves.add(TrainingReport(2, 2, losses={"total": 1.0}, metrics={"F1 all": 0.7, "F1 RBC": 0.6}))
    return TrainingPage(
        title="a < b",
        kind="fine-tuned detector",
        created="2026-01-01",
        facts=(("3", "fields"),),
        curves=curves_svg(curves, 2),
        tables=(ReportTable("Figures", ("", "before"), (("RBC", "0.900"), ("all", "0.910"))),),
        provenance=(("Split", "whole images"),),
        command="hemacells train detector P --out F",
        cautions=("F1 is not all.",),
    )


def test_page_holds_figures_split_command_and_curves_in_one_file() -> None:
    html = render(page())
    for said in (
        "0.910",
        "whole images",
        "hemacells train detector P --out F",
        "<svg",
        "a &lt; b",
    ):
        assert said in html
    links = Links()
    links.feed(html)
    assert all(address.startswith("#") for address in links.found)


def test_curves_are_the_same_bytes_each_time() -> None:
    assert page().curves == page().curves
