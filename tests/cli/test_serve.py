"""``serve`` as a command: who may reach it, what it prints, what it refuses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import uvicorn

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("colour_encoder")


@pytest.fixture
def bundle(hemacells, crops_folder: Path, tmp_path: Path) -> Path:
    assert hemacells("fit", crops_folder, "--out", tmp_path / "model").exit_code == 0
    return tmp_path / "model"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where servers were to listen; none does."""
    places: list[str] = []

    def run(_server: uvicorn.Server, sockets: list) -> None:
        places.extend(sock.getsockname()[0] for sock in sockets)

    monkeypatch.setattr(uvicorn.Server, "run", run)
    return places


def test_it_listens_on_this_computer_and_prints_the_address(
    hemacells, bundle: Path, started: list[str]
) -> None:
    result = hemacells("serve", bundle, "--port", "0", "--no-open")
    assert result.exit_code == 0, result.output
    assert started == ["127.0.0.1"]
    assert re.search(r"http://127\.0\.0\.1:\d+/ ", result.stderr)
    assert "key" not in result.stderr


def test_the_network_is_an_explicit_wish_with_a_key(
    hemacells, bundle: Path, started: list[str]
) -> None:
    everywhere = "0.0.0.0"  # noqa: S104
    refused = hemacells("serve", bundle, "--host", everywhere, "--port", "0", "--no-open")
    assert refused.exit_code == 3
    assert "--allow-network" in refused.stderr
    assert started == []
    wanted = ["--host", everywhere, "--port", "0", "--allow-network"]
    result = hemacells("serve", bundle, *wanted)
    assert result.exit_code == 0, result.output
    assert started == [everywhere]
    assert re.search(r"\?key=[\w-]{32}", result.stderr)
    assert "nothing is encrypted" in result.stderr


def test_a_folder_that_is_no_model_is_named(hemacells, tmp_path: Path, started) -> None:
    result = hemacells("serve", tmp_path, "--port", "0", "--no-open")
    assert result.exit_code == 4
    assert str(tmp_path) in result.stderr
    assert started == []
