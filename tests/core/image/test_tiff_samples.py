"""TIFF whose samples, pages, axes and sizes mean what their tags say."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.image import image_from_array, read_image
from napari_hemacells.core.types import BitDepth

RNG = np.random.default_rng(5)
COLOUR = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]


def write(folder, data, **options):
    tifffile.imwrite(folder / "a.tif", data, **options)
    return folder / "a.tif"


def as_grey(plane):
    return np.repeat(plane[..., np.newaxis], 3, axis=-1)


@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_few_planes_are_no_colours(tmp_path, axes, count, kind):
    planes = np.stack([GREY] * count)
    file = write(tmp_path, planes, metadata={"axes": axes}, **{kind: True})
    with pytest.raises(ImageError, match=rf"a\.tif.*{count} planes.*choose one plane"):
        read_image(file)


def test_pages_are_a_stack(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for _ in range(3):
            tiff.write(GREY, metadata=None, photometric="minisblack")
    with pytest.raises(ImageError, match="several pages with 3 planes"):
        read_image(tmp_path / "a.tif")


def test_channels_say_which_are_used(tmp_path):
    planes = np.moveaxis(COLOUR, -1, 0)
    image = read_image(write(tmp_path, planes, ome=True, metadata={"axes": "CYX"}))
    np.testing.assert_array_equal(image.pixels, COLOUR)
    assert image.notes == ("The channels 1, 2, 3 are used as red, green, blue.",)
    names = {"axes": "CYX", "Channel": {"Name": ["blue", "Green", "Red"]}}
    named = read_image(write(tmp_path, planes, ome=True, metadata=names))
    np.testing.assert_array_equal(named.pixels, COLOUR[..., ::-1])


def test_a_fourth_channel_is_no_alpha(tmp_path):
    planes = np.concatenate([np.moveaxis(COLOUR, -1, 0), GREY[np.newaxis] // 2])
    image = read_image(write(tmp_path, planes, ome=True, metadata={"axes": "CYX"}))
    np.testing.assert_array_equal(image.pixels, COLOUR)
    assert "channel 4 is left out" in image.notes[0]
    names = {"axes": "CYX", "Channel": {"Name": ["DAPI", "FITC", "Cy3", "Cy5"]}}
    with pytest.raises(ImageError, match=r"4 channels \(DAPI, FITC, Cy3, Cy5\)"):
        read_image(write(tmp_path, planes, ome=True, metadata=names))


def test_two_channels_are_not_grey_and_alpha(tmp_path):
    file = write(tmp_path, np.stack([GREY, GREY]), imagej=True, metadata={"axes": "CYX"})
    with pytest.raises(ImageError, match="2 channels"):
        read_image(file)


def test_a_sample_without_a_meaning_is_left_out(tmp_path):
    zeros = np.dstack([COLOUR, np.zeros_like(GREY)])
    file = write(tmp_path, zeros, photometric="rgb", extrasamples=["unspecified"])
    image = read_image(file)
    np.testing.assert_array_equal(image.pixels, COLOUR)
    assert "left out" in image.notes[0]


def test_associated_alpha_is_not_multiplied_twice(tmp_path):
    alpha = np.full_like(GREY, 128)
    stored = np.rint(COLOUR * (128 / 255)).astype(np.uint8)
    file = write(
        tmp_path, np.dstack([stored, alpha]), photometric="rgb", extrasamples=["assocalpha"]
    )
    expected = np.rint(stored + 255.0 * (1 - 128 / 255))
    np.testing.assert_array_equal(read_image(file).pixels, expected)
    straight = write(
        tmp_path, np.dstack([COLOUR, alpha]), photometric="rgb", extrasamples=["unassalpha"]
    )
    np.testing.assert_allclose(read_image(straight).pixels, expected, atol=1)


@pytest.mark.parametrize("kind", [".png", ".tif"])
def test_alpha_of_zero_everywhere_is_ignored(tmp_path, kind):
    clear = np.dstack([COLOUR, np.zeros_like(GREY)])
    Image.fromarray(clear).save(tmp_path / f"a{kind}")
    image = read_image(tmp_path / f"a{kind}")
    np.testing.assert_array_equal(image.pixels, COLOUR)
    assert "opacity is 0 everywhere" in image.notes[0]
    np.testing.assert_array_equal(image_from_array(clear, "layer").pixels, COLOUR)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero(tmp_path, dtype):
    scale = np.iinfo(dtype).max // 255
    ramp = (GREY // 2).astype(dtype) * scale
    ramp[0, :5] = np.iinfo(dtype).max
    image = read_image(write(tmp_path, ramp, photometric="miniswhite"))
    np.testing.assert_array_equal(image.pixels, as_grey(255 - (ramp // scale).astype(np.uint8)))


@pytest.mark.parametrize(("photometric", "expected"), [("minisblack", 17), ("miniswhite", 238)])
def test_four_bits(tmp_path, photometric, expected):
    values = np.full((4, 6), 1, np.uint8)
    values[0] = 15
    packed = (values[:, ::2] << 4 | values[:, 1::2]).tobytes()
    file = tmp_path / "four.tif"
    with tifffile.TiffWriter(file) as tiff:
        tiff.write(
            iter([packed]), shape=(4, 6), dtype=np.uint8, bitspersample=4,
            photometric=photometric, metadata=None, rowsperstrip=4, compression="none",
        )  # fmt: skip
    image = read_image(file)
    assert image.pixels[1:].tolist() == np.full((3, 6, 3), expected).tolist()
    assert image.bit_depth == BitDepth(4, 0, "file")


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_uncompressed_ycbcr_is_no_rgb(tmp_path, compression):
    stored = np.asarray(Image.fromarray(COLOUR).convert("YCbCr"))
    file = write(
        tmp_path, stored, photometric="ycbcr", compression=compression,
        extratags=[(530, 3, 2, (1, 1), True)],
    )  # fmt: skip
    expected = np.asarray(Image.fromarray(stored, "YCbCr").convert("RGB")).astype(int)
    np.testing.assert_allclose(read_image(file).pixels, expected, atol=1)


@pytest.mark.parametrize("separate_series", [True, False])
def test_a_thumbnail_in_front_is_passed_over(tmp_path, separate_series):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(COLOUR[::2, ::2], subfiletype=1, photometric="rgb", metadata=None)
        tiff.write(COLOUR, photometric="rgb", metadata=None if separate_series else {})
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels, COLOUR)
    assert not image.notes


def test_palette_and_cmyk(tmp_path):
    picture = Image.fromarray(COLOUR).convert("P")
    picture.save(tmp_path / "p.tif")
    expected = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(read_image(tmp_path / "p.tif").pixels, expected)
    printed = Image.fromarray(COLOUR).convert("CMYK")
    printed.save(tmp_path / "c.tif")
    expected = np.asarray(printed.convert("RGB"))
    np.testing.assert_array_equal(read_image(tmp_path / "c.tif").pixels, expected)


def test_other_pictures_in_the_file_are_told(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(COLOUR, photometric="rgb", metadata=None)
        tiff.write(COLOUR[:10], photometric="rgb", metadata=None)
    assert read_image(tmp_path / "a.tif").notes == (
        "The file holds 2 pictures; the first of them is used.",
    )


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"PhysicalSizeX": "0,1"}, 0.1),
        ({"PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "μm"}, 0.1),
        ({"PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "µm"}, 0.1),
        ({"PhysicalSizeX": 1e-7, "PhysicalSizeXUnit": "m"}, 0.1),
        ({"PhysicalSizeX": 1000, "PhysicalSizeXUnit": "Å"}, 0.1),
        ({"PhysicalSizeX": 0.1 / 25400, "PhysicalSizeXUnit": "in"}, 0.1),
        ({"PhysicalSizeX": 1e-4, "PhysicalSizeXUnit": "mm"}, 0.1),
        ({"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.104}, 0.10198),
        ({"PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "furlong"}, None),
        ({"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.3}, None),
        ({"PhysicalSizeX": "nan"}, None),
    ],
)
def test_the_pixel_size_of_ome(tmp_path, metadata, expected):
    file = tmp_path / "a.ome.tif"
    sizes = {key: str(value) for key, value in metadata.items()}
    tifffile.imwrite(file, COLOUR, photometric="rgb", metadata={"axes": "YXS", **sizes})
    image = read_image(file)
    assert image.pixel_size_um == (None if expected is None else pytest.approx(expected, rel=1e-4))
    said = "strange" if "furlong" in sizes.values() else "wide and"
    wrong = expected is None and "nan" not in sizes.values()
    assert any(said in note for note in image.notes) == (wrong or "PhysicalSizeY" in sizes)


@pytest.mark.parametrize("unit", ["micron", "microns", "um", "µm", "\\u00B5m", "μm", "nm"])
def test_the_pixel_size_of_imagej(tmp_path, unit):
    per_unit = 0.004 if unit == "nm" else 4
    file = tmp_path / "a.tif"
    tifffile.imwrite(
        file, GREY, imagej=True, resolution=(per_unit, per_unit), metadata={"unit": "UNIT"}
    )
    raw = "\\u00B5m" if unit in {"µm", "μm"} else unit
    with tifffile.TiffFile(file, mode="r+") as tiff:
        description = tiff.pages[0].description.replace("UNIT", raw)
        tiff.pages[0].tags["ImageDescription"].overwrite(description.encode())
    assert read_image(file).pixel_size_um == pytest.approx(0.25, rel=1e-3)


def test_width_is_not_taken_for_height(tmp_path):
    file = write(tmp_path, COLOUR, photometric="rgb", resolution=(2e4, 1e4), resolutionunit=3)
    image = read_image(file)
    assert image.pixel_size_um is None
    assert "0.5 µm wide and 1 µm high" in image.notes[0]
