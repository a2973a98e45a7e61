"""Processes that cannot be started are said in a sentence."""

from __future__ import annotations

import pytest

from napari_hemacells.cli.cluster import connect
from napari_hemacells.cli.cluster.connect import ClusterError, connect_client
from napari_hemacells.cli.parallel import WorkerPlan


@pytest.mark.parametrize("error", [RuntimeError("Nanny failed to start."), OSError("no memory")])
def test_a_busy_computer_is_no_traceback(monkeypatch, error):
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(connect, "LocalCluster", fail)
    with (
        pytest.raises(ClusterError, match=r"2 processes could not be started.*--workers 1"),
        connect_client(WorkerPlan(workers=2)),
    ):
        pass
