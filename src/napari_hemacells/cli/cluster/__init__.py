"""Share the images of a command among the workers of a dask cluster, local or remote."""

from napari_hemacells.cli.cluster.scheduler import run_on_cluster

__all__ = ["run_on_cluster"]
