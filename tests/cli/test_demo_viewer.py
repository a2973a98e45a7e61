"""When the command line opens a window, and when it says why not."""

from __future__ import annotations

import pytest

from napari_hemacells.cli.demo import viewer_unavailable_reason


@pytest.mark.parametrize(
    ("platform", "environ", "opens"),
    [
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {}, False),
        ("linux", {"DISPLAY": ""}, False),
        ("linux", {"DISPLAY": ":0", "CI": "true"}, False),
        ("darwin", {}, True),
        ("darwin", {"SSH_CONNECTION": "10.0.0.1"}, False),
        ("win32", {}, True),
    ],
)
def test_a_window_needs_a_display(platform: str, environ: dict[str, str], opens: bool) -> None:
    assert (viewer_unavailable_reason(platform, environ) == "") is opens
