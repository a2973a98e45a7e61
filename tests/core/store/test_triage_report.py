"""The page and the table of odd cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_hemacells.core.annotate.palette import CellClass, Palette
from napari_hemacells.core.classify.verification import fit_likeness
from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.files.text_tables import read_table
from napari_hemacells.core.store import triage_report
from napari_hemacells.core.store.triage import ImageTriage, OddCell, Resemblance
from napari_hemacells.core.store.triage_report import (
    TriagedImage,
    TriageReport,
    likeness_in_words,
    odd_in_words,
    odd_sentence,
    render_triage,
    write_triage_report,
)

if TYPE_CHECKING:
    from pathlib import Path

NAME = '<script>alert("x")</script>'
PALETTE = Palette((CellClass("a", NAME, "#56b4e9"), CellClass("b", "WBC", "#e69f00")))


def image(
    folder: Path, label: str, odd: int, *, can_tell: bool = True, p_same: float | None = None
) -> TriagedImage:
    crops = folder / f"{len(label)}-{odd}.odd-cells"
    crops.mkdir()
    files = [f"cell-{cell:06d}.png" for cell in range(1, odd + 1)]
    for file in [*files, "cell-000099.png"]:
        Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(crops / file)
    Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(crops / "overview.jpg")
    cells = tuple(
        OddCell(
            cell=number, row=1.5, col=2.5, score=0.9, crop=file,
            resembles=(
                Resemblance(name=NAME, distance=1.34, likeness="unlike", p_same=p_same),
                Resemblance(name="WBC"),
            ),
        )
        for number, file in enumerate(files, start=1)
    )  # fmt: skip
    triage = ImageTriage(
        cells=20, counts={NAME: 10, "WBC": 3}, odd=cells,
        examples={"WBC": ("cell-000099.png",)}, overview="overview.jpg" if odd else "",
        can_tell=can_tell,
    )  # fmt: skip
    return TriagedImage(label, "", triage, crops)


def report(*images: TriagedImage) -> TriageReport:
    return TriageReport(
        images, PALETTE, "a model", {"WBC": 12}, "nothing", "It rests on 12 cells.",
        odd_in_words(images), ("lost.png: it was moved.",),
    )  # fmt: skip


def test_names_are_escaped_and_numbers_add_up(tmp_path: Path) -> None:
    page = render_triage(report(image(tmp_path, "<i>a</i>.png", 2), image(tmp_path, "b.png", 0)))
    assert NAME not in page
    assert "<i>a</i>" not in page
    assert "&lt;i&gt;a&lt;/i&gt;.png" in page
    assert page.count('<div class="card">') == 2
    assert page.count("unlike all annotated kinds") == 2
    assert ">1.34&nbsp;×&nbsp;the&nbsp;threshold</span>" in page
    assert ": unlike<span" in page
    assert "unsure, in no class</td><td>12</td>" in page  # 40 cells, 26 in a class, 2 odd
    assert "lost.png: it was moved." in page
    assert "This list is no diagnosis" in page


def test_the_table_has_a_row_a_cell_and_is_no_formula(tmp_path: Path) -> None:
    page, table = write_triage_report(tmp_path, report(image(tmp_path, "=1+1.png", 3)))
    assert page.name == "triage.html"
    assert "'=1+1.png" in table.read_text(encoding="utf-8-sig")
    rows = read_table(table).records()
    assert [row["cell"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["image"] == "=1+1.png"
    first = [rows[0][name] for name in ("distance", "likeness", "same kind", "likeness next")]
    assert first == ["1.34", "unlike", "", ""]
    assert "confidence" not in rows[0]
    assert (tmp_path / rows[0]["crop"]).is_file()


def test_a_percentage_is_shown_where_it_was_calibrated_and_is_explained(tmp_path: Path) -> None:
    page = render_triage(report(image(tmp_path, "a.png", 1, p_same=0.21)))
    assert "1.34&nbsp;×&nbsp;the&nbsp;threshold, same kind 21&nbsp;%</span>" in page
    assert "<dt>Same kind</dt>" in page
    without = render_triage(report(image(tmp_path, "bb.png", 1)))
    assert "&nbsp;%</span>" not in without
    assert "<dt>Same kind</dt>" not in without


@pytest.mark.parametrize("kinds", [2, 3, 4])
def test_the_page_says_on_what_the_distance_rests(kinds: int) -> None:
    centres = np.eye(8)[np.repeat(np.arange(kinds), 6)]
    vectors = centres + np.random.default_rng(0).normal(0, 0.1, centres.shape)
    text = likeness_in_words(
        fit_likeness(vectors, [f"kind {row // 6}" for row in range(6 * kinds)])
    )
    assert f"{kinds} kinds" in text
    assert ("only the distance" in text) == (kinds < 4)
    assert "no distance" in likeness_in_words(None)


def test_a_page_of_very_many_shows_the_first_and_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(triage_report, "MOST_SHOWN", 4)
    page = render_triage(report(image(tmp_path, "a.png", 3), image(tmp_path, "bb.png", 2)))
    assert page.count('<div class="card">') == 4
    assert "The 4 odd cells" in page


def test_without_odd_cells_the_page_says_what_that_means(tmp_path: Path) -> None:
    none = image(tmp_path, "a.png", 0)
    assert "No cell is odd" in render_triage(report(none))
    assert odd_sentence([none]) == "None of 20 cells is odd."
    few = image(tmp_path, "bb.png", 0, can_tell=False)
    assert "too few cells" in render_triage(report(few))


def test_the_sentence_counts_cells_and_images(tmp_path: Path) -> None:
    images = [image(tmp_path, "a.png", 1), image(tmp_path, "bb.png", 0)]
    assert odd_sentence(images) == "1 cell is odd, of 40, in 1 of 2 images."


def test_a_missing_crop_is_named(tmp_path: Path) -> None:
    lost = image(tmp_path, "a.png", 1)
    (lost.crops / "cell-000001.png").unlink()
    with pytest.raises(StorageError, match="cell-000001"):
        render_triage(report(lost))
