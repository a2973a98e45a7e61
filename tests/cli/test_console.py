"""What is printed: no name of a file or class steers the terminal."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress
from rich.table import Table

from napari_hemacells.cli.console import Reporter, make_console, print_error, printable
from napari_hemacells.core.errors import ImageError

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "field\x1b[31m\x1b]0;owned\x07\x9b2J\r\u202egnp.exe"
STEERING = set(map(chr, (*range(9), *range(11, 32), *range(127, 160)))) | {"\u202e"}


@given(text=st.text())
def test_no_text_steers_a_terminal(text: str) -> None:
    shown = printable(text)
    assert not set(shown) & STEERING
    shown.encode()
    if not set(text) & STEERING and shown != text:
        assert any(ord(character) > 0x2000 for character in text)


@pytest.mark.parametrize("quiet", [False, True])
def test_a_reporter_prints_names_without_their_codes(
    capsys: pytest.CaptureFixture[str], *, quiet: bool
) -> None:
    reporter = Reporter(quiet=quiet, json_to="-" if quiet else None)
    table = Table(EVIL)
    table.add_row(EVIL)
    reporter.say(EVIL)
    reporter.warn(EVIL)
    reporter.tell(EVIL)
    reporter.tell(table)
    print_error(ImageError(EVIL), debug=True, trace=EVIL)
    reporter.finish({"image": EVIL, "lost": "\udcff"})
    out, err = capsys.readouterr()
    assert not set(out + err) & STEERING
    assert "field\\x1b[31m" in err
    if quiet:
        assert json.loads(out) == {"image": EVIL, "lost": "\udcff"}
    else:
        assert out.count("field\\x1b[31m") == 3


def test_colours_of_our_own_and_a_moving_bar_are_kept() -> None:
    stream = io.StringIO()
    console = make_console(file=stream, force_terminal=True, color_system="standard")
    console.print("[red]red[/red]")
    with Progress(console=console) as bar:
        bar.add_task("work", total=2)
        console.print("told meanwhile")
    assert "\x1b[31mred\x1b[0m" in stream.getvalue()
    assert "told meanwhile" in stream.getvalue()
    assert "\\x1b" not in stream.getvalue()


def test_a_file_of_an_evil_name_is_told_without_its_codes(hemacells, tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31m.png").write_bytes(b"no picture")
    result = hemacells("detect", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 3
    assert "\x1b" not in result.output
    assert "a\\x1b[31m.png" in result.stderr
