"""The page in a real browser: drop, read the class, download, errors, many at once, keyboard."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import openpyxl
import pandas as pd
import pytest
from playwright.sync_api import expect

from napari_hemacells.core.types import UNKNOWN

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

WAIT = 60_000  # ms, where a computer is busy
DROP = """files => {
    const data = new DataTransfer();
    for (const [name, text] of files) {
        const bytes = Uint8Array.from(atob(text), one => one.charCodeAt(0));
        data.items.add(new File([bytes], name));
    }
    for (const kind of ["dragenter", "dragover", "drop"]) {
        const event = new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true});
        document.getElementById("drop").dispatchEvent(event);
    }
}"""


def drop(page: Page, *files: tuple[str, bytes]) -> None:
    page.evaluate(DROP, [[name, base64.b64encode(data).decode()] for name, data in files])


def finished(page: Page, sentence: str) -> None:
    expect(page.locator("#progress")).to_have_text(sentence, timeout=WAIT)


def download(page: Page, kind: str) -> bytes:
    with page.expect_download(timeout=WAIT) as coming:
        page.click(f"#{kind}")
    assert coming.value.suggested_filename == f"cells.{kind}"
    return coming.value.path().read_bytes()


def test_a_dropped_picture_gets_its_class(page: Page, pictures: Path) -> None:
    drop(page, ("red.png", (pictures / "red.png").read_bytes()))
    finished(page, "1 of 1 picture classified")
    card = page.locator(".card")
    expect(card.locator(".class")).to_have_text("red")
    expect(card.locator(".bars li")).to_have_count(2)
    assert card.locator(".bars .name").all_inner_texts()[0] == "red"
    width = card.locator(".fill").first.evaluate("one => one.getBoundingClientRect().width")
    assert width > 20
    assert card.locator("figure img").first.evaluate("one => one.naturalWidth") == 64


def test_the_heat_map_is_shown_and_hidden(page: Page, pictures: Path) -> None:
    page.set_input_files("#files", pictures / "violet.png")
    finished(page, "1 of 1 picture classified")
    page.click(".show-heat")
    expect(page.locator(".heat")).to_be_visible(timeout=WAIT)
    expect(page.locator(".heat-words")).to_contain_text("Class asked about: violet")
    page.click(".show-heat")
    expect(page.locator(".heat")).to_be_hidden()


def test_unknown_is_said_and_tables_agree(page: Page, pictures: Path) -> None:
    names = ["red.png", "violet.png", "green.png"]
    page.set_input_files("#files", [pictures / name for name in names])
    finished(page, "3 of 3 pictures classified")
    shown = page.locator(".card .class").all_inner_texts()
    assert shown == ["red", "violet", UNKNOWN]
    assert "Unlike everything" in page.locator(".card").last.inner_text()
    table = pd.read_csv(io.BytesIO(download(page, "csv")), keep_default_na=False)
    assert list(table)[:8] == [
        "image", "label", "class", "confidence", "unknown", "group", "p_red", "p_violet",
    ]  # fmt: skip
    assert table["image"].tolist() == names
    assert table["class"].tolist() == shown
    assert table["is_unknown"].tolist() == [False, False, True]
    book = openpyxl.load_workbook(io.BytesIO(download(page, "xlsx")))
    assert [row[2] for row in book["Cells"].iter_rows(min_row=2, values_only=True)] == shown
    counts = {row[0]: row[1] for row in book["Summary"].iter_rows(values_only=True)}
    assert (counts["red"], counts["violet"], counts[UNKNOWN], counts["Total"]) == (1, 1, 1, 3)


def test_files_that_are_no_pictures_are_named(page: Page, pictures: Path) -> None:
    page.set_input_files("#files", [pictures / "notes.txt", pictures / "broken.png"])
    finished(page, "0 of 2 pictures classified, 2 could not be")
    text = page.locator("#results").inner_text()
    assert "notes.txt" in text
    assert "broken.png" in text
    assert "Traceback" not in text
    expect(page.locator("#csv")).to_be_disabled()


def test_fifty_files_at_once(page: Page, pictures: Path) -> None:
    red, violet = (pictures / "red.png").read_bytes(), (pictures / "violet.png").read_bytes()
    drop(page, *((f"cell {n}.png", violet if n % 5 else red) for n in range(50)))
    finished(page, "50 of 50 pictures classified")
    assert page.locator("#counts li").all_inner_texts() == ["violet 40", "red 10"]
    table = pd.read_csv(io.BytesIO(download(page, "csv")))
    assert table["image"].tolist() == [f"cell {n}.png" for n in range(50)]
    assert table["class"].value_counts().to_dict() == {"violet": 40, "red": 10}


def test_more_pictures_than_the_page_takes(page: Page, pictures: Path) -> None:
    drop(page, *((f"{n}.png", b"no picture") for n in range(65)))
    finished(page, "0 of 60 pictures classified, 60 could not be")
    expect(page.locator("#messages")).to_contain_text("5 were left out")


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(page: Page) -> None:
    drop(page, ("large.png", b"\0" * (2 * 2**20 + 1)))
    finished(page, "0 of 1 picture classified, 1 could not be")
    expect(page.locator(".card.failed")).to_contain_text("larger than 2 MB")


def test_names_are_text_and_nothing_else(page: Page, pictures: Path) -> None:
    name = "<img src=x onerror=alert(1)>.png"
    drop(page, (name, (pictures / "red.png").read_bytes()), ("=1+<b>2.png", b"x"))
    finished(page, "1 of 2 pictures classified, 1 could not be")
    expect(page.locator(".card .file")).to_contain_text(name)
    assert page.locator(".card b").all_inner_texts() == ["=1+<b>2.png"]
    assert page.locator("#model option").all_inner_texts() == ["first", "other <i>one</i>"]
    page.locator("details.seen:not([hidden]) summary").click()
    expect(page.locator("details.seen[open]")).to_contain_text("no cells <b>at all</b>")


def test_another_model_is_asked_about_the_same_pictures(page: Page, pictures: Path) -> None:
    page.set_input_files("#files", pictures / "red.png")
    finished(page, "1 of 1 picture classified")
    page.select_option("#model", label="other <i>one</i>")
    finished(page, "1 of 1 picture classified")
    expect(page.locator(".card .class")).to_have_text("red")
    page.click("#clear")
    expect(page.locator(".card")).to_have_count(0)


def test_it_works_by_keyboard_and_fits_800_pixels(page: Page, pictures: Path) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.tagName")
        )
    assert reached == ["model", "SUMMARY", "files"]
    page.set_input_files("#files", [pictures / "red.png", pictures / "notes.txt"])
    finished(page, "1 of 2 pictures classified, 1 could not be")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, select, input, img, summary')].filter(one => "
        "!one.closest('[hidden]') && !(one.innerText || one.alt || one.labels?.length || "
        "one.getAttribute('alt') === '')).map(one => one.outerHTML)"
    )
    assert unnamed == []


def test_a_page_elsewhere_cannot_use_it(chromium, server) -> None:
    """A foreign page in the same browser neither reads nor asks anything."""
    context = chromium.new_context()
    other = context.new_page()
    other.route("http://evil.test/", lambda route: route.fulfill(body="<p>evil</p>"))
    other.goto("http://evil.test/")
    script = """async address => {
        const out = [];
        for (const [path, options] of [
            ["/", {}], ["/classify", {method: "POST", body: new FormData()}],
            ["/table", {method: "POST", body: "{}"}], ["/", {mode: "no-cors"}]]) {
            try {
                const answer = await fetch(address + path, options);
                out.push(answer.type + " " + await answer.text());
            } catch (error) { out.push("refused"); }
        }
        return out;
    }"""
    said = other.evaluate(script, server.address)
    assert [line for line in said if line not in {"refused", "opaque "}] == []
    other.set_content(f'<iframe src="{server.address}"></iframe>')
    other.wait_for_timeout(500)
    assert all("HemaCells" not in (frame.title() or "") for frame in other.frames)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough(chromium, server, scheme: str) -> None:
    """WCAG AA: 4.5 to 1 for every text on what lies behind it."""
    context = chromium.new_context(color_scheme=scheme)
    one = context.new_page()
    one.goto(server.address)
    poor = one.evaluate("""() => {
        const rgb = text => text.match(/[\\d.]+/g).map(Number);
        const light = ([r, g, b]) => {
            const part = x => (x /= 255) <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
            return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
        };
        const behind = one => {
            for (; one; one = one.parentElement) {
                const c = rgb(getComputedStyle(one).backgroundColor);
                if (c.length < 4 || c[3] > 0.99) return c;
            }
            return [255, 255, 255];
        };
        const found = [];
        for (const one of document.querySelectorAll(
            "h1, p, label, select, summary, button, .button")) {
            const style = getComputedStyle(one);
            const a = light(rgb(style.color)), b = light(behind(one));
            const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            if (ratio < 4.5) found.push([one.outerHTML.slice(0, 60), ratio]);
        }
        return found;
    }""")
    assert poor == []
    context.close()
