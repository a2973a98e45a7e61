"""Sample data: synthetic smears and thermograms, and public images that need the network.

napari calls these functions for *File ▸ Open Sample*; heavy packages are imported inside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.samples.mosaic import SmearMosaic
    from napari_hemacells.samples.smear import SyntheticSmear
    from napari_hemacells.samples.thermogram import Side, SyntheticThermogram

    LayerData = tuple[Any, dict[str, Any], str]

__all__ = [
    "bccd_field_1",
    "bccd_field_3",
    "chula_field_12",
    "public_layers",
    "smear_layers",
    "smear_mosaic",
    "synthetic_smear",
    "synthetic_thermogram",
    "thermogram_layers",
]


def synthetic_smear(
    seed: int = 0, shape: tuple[int, int] = (900, 1200), *, diameter: float = 44.0
) -> SyntheticSmear:
    """A rendered smear with ground truth; see :mod:`napari_hemacells.samples.smear`."""
    from napari_hemacells.samples import smear

    return smear.synthetic_smear(seed, shape, diameter=diameter)


def smear_mosaic(
    path: str | Path,
    shape: tuple[int, int] = (6000, 11000),
    *,
    seed: int = 0,
    diameter: float = 44.0,
) -> SmearMosaic:
    """A large smear written to `path`; see :mod:`napari_hemacells.samples.mosaic`."""
    from napari_hemacells.samples import mosaic

    return mosaic.smear_mosaic(path, shape, seed=seed, diameter=diameter)


def smear_layers() -> list[LayerData]:
    """The synthetic smear as napari layer data, with its ground truth in the metadata."""
    from napari_hemacells.layers import METADATA_KEY

    smear = synthetic_smear()
    truth = {"labels": smear.labels, "table": smear.table}
    metadata = {METADATA_KEY: {"role": "image", "truth": truth}}
    return [(smear.image, {"name": "synthetic smear", "metadata": metadata}, "image")]


def synthetic_thermogram(
    seed: int = 0, *, hot_spot: bool | Side = False, size: tuple[int, int] = (480, 640)
) -> SyntheticThermogram:
    """A thermogram with ground truth; see :mod:`napari_hemacells.samples.thermogram`."""
    from napari_hemacells.samples import thermogram

    return thermogram.synthetic_thermogram(seed, hot_spot=hot_spot, size=size)


def thermogram_layers() -> list[LayerData]:
    """A synthetic thermogram with a hot spot as napari layer data, truth in the metadata."""
    from napari_hemacells.layers import METADATA_KEY
    from napari_hemacells.thermal import thermal_layer

    exam = synthetic_thermogram(hot_spot="left")
    data, shown, kind = thermal_layer(exam.celsius, "synthetic thermogram")
    truth = {"breasts": exam.breasts, "nipples": exam.nipples, "hot_spots": exam.hot_spots}
    shown["metadata"][METADATA_KEY]["truth"] = truth
    return [(data, shown, kind)]


def public_layers(name: str) -> list[LayerData]:
    """A public image as napari layer data, with its licence and source in the metadata.

    Raises
    ------
    DownloadError
        There is no network, or the file cannot be stored or is not the expected one.
    """
    from napari_hemacells.core.image import read_image
    from napari_hemacells.layers import METADATA_KEY
    from napari_hemacells.samples.public import PUBLIC, fetch

    public = PUBLIC[name]
    image = read_image(fetch(name))
    about = {"role": "image", "licence": public.licence, "source": public.source}
    metadata = {METADATA_KEY: about}
    return [(image.pixels, {"name": public.title, "metadata": metadata}, "image")]


def bccd_field_1() -> list[LayerData]:
    """A field of the BCCD dataset; the first call needs the network."""
    return public_layers("bccd-1")


def bccd_field_3() -> list[LayerData]:
    """Another field of the BCCD dataset; the first call needs the network."""
    return public_layers("bccd-3")


def chula_field_12() -> list[LayerData]:
    """A field of Chula RBC-12, red cells of many shapes; the first call needs the network."""
    return public_layers("chula-12")
