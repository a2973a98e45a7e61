"""The demo, for real: the bundled encoder on the synthetic smear, without a display."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from PIL import Image

from napari_hemacells.core.store import Project, load_bundle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_the_demo_leaves_all_it_promises(hemacells, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    result = hemacells("demo", "--out", out, "--no-viewer", "--clicks", 5, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["clicks_from"] == "synthetic ground truth"

    table = pd.read_csv(out / "cells.csv", keep_default_na=False)
    assert len(table) == told["cells"]
    assert (table["annotated"] != "").sum() == sum(told["clicks"].values())
    assert (table["predicted"] != "").all()
    with Image.open(out / "overlay.png") as overlay, Image.open(out / "smear.png") as smear:
        assert overlay.width == smear.width
    assert load_bundle(out / "model").training_counts
    page = (out / "report.html").read_text()
    assert page.count("data:image/") >= 2
    assert "http://" not in page.replace("http://www.w3.org", "")

    project = Project.open(told["files"]["project"])
    history = project.open_history("synthetic ground truth")
    assert len(history.state.labels) == sum(told["clicks"].values())
    history.close()

    # On a drawn smear, five clicks a class must be far better than the commonest class.
    score = told["score"]
    assert score["accuracy"] == pytest.approx(score["right"] / score["total"])
    assert score["accuracy"] > 0.8
    assert score["low"] <= score["accuracy"] <= score["high"]
