"""Arrays that are more than plain numbers are not opened, at whatever level; channels; sizes."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import zarr

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.image import is_large, read_image

COLOUR = np.random.default_rng(9).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def write(folder, data, axes, *, zarr_format=2, units=("micrometer",) * 2, step=(0.2, 0.2)):
    """An OME-Zarr of one level."""
    group = zarr.open_group(folder, mode="w", zarr_format=zarr_format)
    group.create_array("0", data=data, chunks=data.shape)
    named = []
    for name in axes:
        axis = {"name": name, "type": "channel" if name == "c" else "space"}
        if name in "yx" and units["yx".index(name)]:
            axis["unit"] = units["yx".index(name)]
        named.append(axis)
    scale = [step["yx".index(name)] if name in "yx" else 1.0 for name in axes]
    transforms = [{"type": "scale", "scale": scale}]
    found = {"axes": named, "datasets": [{"path": "0", "coordinateTransformations": transforms}]}
    if zarr_format == 2:
        group.attrs["multiscales"] = [found | {"version": "0.4"}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [found]}
    return folder


def edit(file, change):
    about = json.loads(file.read_text())
    change(about)
    file.write_text(json.dumps(about))


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was run",)


def add_object_level(folder):
    low = folder / "1"
    low.mkdir()
    about = {
        "zarr_format": 2, "shape": [1, 1, 1], "chunks": [1, 1, 1], "dtype": "|O", "order": "C",
        "compressor": None, "fill_value": None, "filters": [{"id": "pickle", "protocol": 5}],
    }  # fmt: skip
    (low / ".zarray").write_text(json.dumps(about))
    (low / "0.0.0").write_bytes(pickle.dumps(Bomb()))
    level = {
        "path": "1", "coordinateTransformations": [{"type": "scale", "scale": [1.0, 0.4, 0.4]}],
    }  # fmt: skip
    edit(folder / ".zattrs", lambda about: about["multiscales"][0]["datasets"].append(level))


def test_objects_at_a_lower_level_are_not_opened(tmp_path):
    folder = write(tmp_path / "a.zarr", np.moveaxis(COLOUR, -1, 0), "cyx")
    add_object_level(folder)
    with pytest.raises(ImageError, match=r"a\.zarr: An array of the image holds '\|O'"):
        read_image(folder)
    assert not is_large(folder)


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("filters", [{"id": "pickle"}], "'pickle'"),
        ("compressor", {"id": "json2"}, "'json2'"),
        ("filters", [{"id": "astype", "encode_dtype": "|O", "decode_dtype": "<f4"}], "'|O'"),
        ("dtype", "|O", "'|O'"),
        ("dtype", "<U8", "'<U8'"),
        ("dtype", [["a", "<i4"]], "plain numbers"),
        ("chunks", [3, 60_000, 60_000], "10,800 MB"),
    ],
)
def test_version_2_opens_numbers_alone(tmp_path, key, value, word):
    folder = write(tmp_path / "a.zarr", np.moveaxis(COLOUR, -1, 0), "cyx")
    edit(folder / "0" / ".zarray", lambda about: about.update({key: value}))
    with pytest.raises(ImageError) as refused:
        read_image(folder)
    assert "a.zarr" in str(refused.value)
    assert word in str(refused.value)


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("codecs", [{"name": "numcodecs.pickle"}], "'pickle'"),
        ("codecs", [{"name": "vlen-bytes"}], "'vlen-bytes'"),
        ("data_type", "string", "'string'"),
        ("data_type", {"name": "structured"}, "plain numbers"),
    ],
)
def test_version_3_opens_numbers_alone(tmp_path, key, value, word):
    folder = write(tmp_path / "a.zarr", np.moveaxis(COLOUR, -1, 0), "cyx", zarr_format=3)
    edit(folder / "0" / "zarr.json", lambda about: about.update({key: value}))
    with pytest.raises(ImageError) as refused:
        read_image(folder)
    assert word in str(refused.value)


def test_codecs_inside_shards_are_looked_at(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=3)
    group.create_array("0", data=COLOUR, chunks=(20, 25, 3), shards=(40, 50, 3))
    assert read_image(tmp_path / "a.zarr" / "0").shape == (40, 50)

    def spoil(about):
        about["codecs"][0]["configuration"]["codecs"].append({"name": "numcodecs.pickle"})

    edit(tmp_path / "a.zarr" / "0" / "zarr.json", spoil)
    with pytest.raises(ImageError, match="'pickle'"):
        read_image(tmp_path / "a.zarr" / "0")


@pytest.mark.parametrize("path", ["../other.zarr/0", "/etc"])
def test_a_level_outside_the_folder_is_refused(tmp_path, path):
    write(tmp_path / "other.zarr", np.moveaxis(COLOUR, -1, 0), "cyx")
    folder = write(tmp_path / "a.zarr", np.moveaxis(COLOUR, -1, 0), "cyx")
    edit(
        folder / ".zattrs",
        lambda about: about["multiscales"][0]["datasets"][0].update({"path": path}),
    )
    with pytest.raises(ImageError, match=r"a\.zarr.*outside|a\.zarr cannot be read"):
        read_image(folder)


def test_a_fourth_channel_is_no_alpha(tmp_path):
    planes = np.concatenate([np.moveaxis(COLOUR, -1, 0), np.full((1, 40, 50), 77, np.uint8)])
    folder = write(tmp_path / "a.zarr", planes, "cyx")
    image = read_image(folder)
    np.testing.assert_array_equal(image.pixels, COLOUR)
    assert "channel 4 is left out" in image.notes[0]
    labels = [{"label": name, "color": "FFFFFF"} for name in ("DAPI", "Blue", "Green", "Red")]
    edit(folder / ".zattrs", lambda about: about.update({"omero": {"channels": labels}}))
    np.testing.assert_array_equal(read_image(folder).pixels, np.moveaxis(planes[[3, 2, 1]], 0, -1))


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("units", "step", "expected"),
    [
        (("micrometer", "micrometer"), (0.2, 0.2), 0.2),
        (("nanometer", "nanometer"), (200.0, 200.0), 0.2),
        (("nanometer", "micrometer"), (200.0, 0.2), 0.2),
        (("meter", "meter"), (2e-7, 2e-7), 0.2),
        (("angstrom", "angstrom"), (2000.0, 2000.0), 0.2),
        (("micrometer", "micrometer"), (0.2, 0.3), None),
        ((None, None), (0.2, 0.2), None),
    ],
)
def test_the_scale_is_read(tmp_path, zarr_format, units, step, expected):
    data = np.moveaxis(COLOUR, -1, 0)
    folder = write(
        tmp_path / "a.zarr", data, "cyx", zarr_format=zarr_format, units=units, step=step
    )
    image = read_image(folder)
    assert image.pixel_size_um == (None if expected is None else pytest.approx(expected))
    assert any("0.3 µm wide and 0.2 µm high" in note for note in image.notes) == (step[1] == 0.3)


def test_damaged_metadata_is_a_sentence(tmp_path):
    folder = write(tmp_path / "a.zarr", np.moveaxis(COLOUR, -1, 0), "cyx")
    good = (folder / "0" / ".zarray").read_text()
    for bad in ("[" * 100_000, "{}", "null", "[1]", good[:40], '{"dtype": 3}', "\xff"):
        (folder / "0" / ".zarray").write_text(bad)
        with pytest.raises(ImageError, match=r"a\.zarr"):
            read_image(folder)
    (folder / "0" / ".zarray").write_text(good)
    for bad in (
        {"multiscales": [{}]},
        {"multiscales": 3},
        {"ome": 3},
        {"ome": {"multiscales": "x"}},
    ):
        (folder / ".zattrs").write_text(json.dumps(bad))
        with pytest.raises(ImageError, match=r"a\.zarr"):
            read_image(folder)
