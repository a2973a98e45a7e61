"""OME-Zarr folders of both versions, and sentences for those that hold no one picture."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import zarr

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.image import is_image, read_image


def axes(names, unit="micrometer"):
    kinds = {"t": "time", "c": "channel"}
    return [
        {"name": name, "type": kinds.get(name, "space")}
        | ({"unit": unit} if name in "zyx" and unit else {})
        for name in names
    ]


def write_ome(folder, data, names, *, version="0.5", step=0.25, unit="micrometer"):
    group = zarr.open_group(folder, mode="w", zarr_format=3 if version == "0.5" else 2)
    datasets = []
    for number, factor in enumerate((1, 2)):
        at = tuple(slice(None, None, factor if name in "yx" else 1) for name in names)
        chunks = tuple(min(32, length) for length in data.shape)
        group.create_array(str(number), data=data[at], chunks=chunks)
        scale = [step * factor if name in "yx" else 1.0 for name in names]
        transform = {"type": "scale", "scale": scale}
        datasets.append({"path": str(number), "coordinateTransformations": [transform]})
    found = [{"name": "x", "axes": axes(names, unit), "datasets": datasets}]
    if version == "0.5":
        group.attrs["ome"] = {"version": version, "multiscales": found}
    else:
        group.attrs["multiscales"] = [found[0] | {"version": version}]
    return folder


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("names", ["cyx", "tczyx", "czyx"])
def test_both_versions_and_leading_axes_of_one(tmp_path, small_is_tiny, picture, version, names):
    data = np.moveaxis(picture, -1, 0)
    while data.ndim < len(names):
        data = data[np.newaxis] if names == "tczyx" and data.ndim == 4 else data[:, np.newaxis]
    image = read_image(write_ome(tmp_path / "a.ome.zarr", data, names, version=version))
    assert (image.name, image.shape, image.pixel_size_um) == ("a", (90, 130), 0.25)
    np.testing.assert_array_equal(np.asarray(image.pixels), picture)
    np.testing.assert_array_equal(np.asarray(image.overview), picture[::2, ::2])


def test_grey_and_other_units(tmp_path, picture):
    grey = picture[..., 0]
    folder = write_ome(tmp_path / "g.zarr", grey, "yx", step=300.0, unit="nanometer")
    image = read_image(folder)
    assert not image.is_lazy
    assert image.pixel_size_um == pytest.approx(0.3)
    np.testing.assert_array_equal(image.pixels[..., 1], grey)
    assert read_image(write_ome(tmp_path / "n.zarr", grey, "yx", unit="")).pixel_size_um is None


def test_the_first_image_of_a_collection(tmp_path, picture):
    zarr.open_group(tmp_path / "c.zarr", mode="w", zarr_format=2)
    write_ome(tmp_path / "c.zarr" / "0", picture[..., 0], "yx", version="0.4")
    assert read_image(tmp_path / "c.zarr").shape == (90, 130)


@pytest.mark.parametrize(
    ("shape", "names", "word"),
    [
        ((4, 40, 50), "tyx", "time series"),
        ((4, 40, 50), "zyx", "stack in depth"),
        ((2, 40, 50), "cyx", "2 channels"),
        ((7, 40, 50), "cyx", "7 channels"),
    ],
)
def test_more_than_one_picture_is_refused(tmp_path, shape, names, word):
    folder = write_ome(tmp_path / "many.zarr", np.zeros(shape, np.uint8), names)
    with pytest.raises(ImageError, match=rf"many\.zarr.*{word}"):
        read_image(folder)


def test_folders_without_an_image_are_told(tmp_path, picture):
    (tmp_path / "plain.zarr").mkdir()
    with pytest.raises(ImageError, match="without zarr metadata"):
        read_image(tmp_path / "plain.zarr")
    zarr.open_group(tmp_path / "empty.zarr", mode="w")
    with pytest.raises(ImageError, match="without an image"):
        read_image(tmp_path / "empty.zarr")
    hurt = write_ome(tmp_path / "hurt.zarr", picture[..., 0], "yx")
    shutil.rmtree(hurt / "0")
    with pytest.raises(ImageError, match=r"hurt\.zarr cannot be read"):
        read_image(hurt)
    old = zarr.open_group(tmp_path / "old.zarr", mode="w", zarr_format=2)
    old.attrs["multiscales"] = [{"version": "0.1", "datasets": [{"path": "0"}]}]
    with pytest.raises(ImageError, match=r"not that of OME-Zarr 0\.4 or 0\.5"):
        read_image(tmp_path / "old.zarr")


def test_what_looks_like_an_image(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "b.tif").mkdir()
    (tmp_path / "c.PNG").touch()
    (tmp_path / "d.txt").touch()
    assert [is_image(tmp_path / name) for name in ("a.zarr", "b.tif", "c.PNG", "d.txt")] == [
        True, False, True, False,
    ]  # fmt: skip
