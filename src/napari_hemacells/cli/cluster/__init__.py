"""The images of a command shared out to the workers of a dask cluster, here or elsewhere."""

from napari_hemacells.cli.cluster.scheduler import run_on_cluster

__all__ = ["run_on_cluster"]
