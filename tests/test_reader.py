"""What napari is given for temperatures and large images, and what is left to others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from npe2 import PluginManager, io_utils

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.temperature import stack
from napari_hemacells.layers import METADATA_KEY
from napari_hemacells.reader import get_slide_reader, get_thermogram_reader
from napari_hemacells.thermal import format_temperature_status, is_thermal

if TYPE_CHECKING:
    from pathlib import Path

PLUGIN = "napari-hemacells"
SIZE = (12, 16)


def frame(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.round(np.random.default_rng(seed).uniform(22, 36, size), 2)


def dmr_name(patient: int, number: int = 0) -> str:
    return f"T{patient:04d}.1.1.D.2013-01-16.{number:02d}.txt"


def write_series(folder: Path, count: int, size: tuple[int, int] = SIZE) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / dmr_name(1 + number // 20, number % 20) for number in range(count)]
    for number, file in enumerate(files):
        np.savetxt(file, frame(number, size), fmt="%.2f")
    return files


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read whole, in order."""
    found: list[Path] = []
    read = stack.read_celsius

    def counted(path: Path) -> np.ndarray:
        found.append(path)
        return read(path)

    monkeypatch.setattr(stack, "read_celsius", counted)
    return found


def test_napari_finds_the_reader_and_gets_degrees(tmp_path: Path) -> None:
    (file,) = write_series(tmp_path, 1)
    PluginManager.instance().discover()
    data, shown, kind = io_utils.read([str(file)], stack=False, plugin_name=PLUGIN)[0]
    assert kind == "image"
    assert data.dtype == np.float32
    np.testing.assert_array_equal(data, np.loadtxt(file, dtype=np.float32))
    assert shown["name"] == "T0001.1.1.D.2013-01-16.00"
    assert shown["colormap"] == "inferno"
    low, high = shown["contrast_limits"]
    assert 22 <= low < high <= 36.1
    assert is_thermal(shown["metadata"])
    assert shown["metadata"][METADATA_KEY]["frames"] == [
        {
            "patient": "0001", "visit": 1, "view": "frontal", "protocol": "dynamic",
            "date": "2013-01-16", "frame": 0,
        }
    ]  # fmt: skip


def test_a_folder_of_200_opens_by_reading_one_file(tmp_path: Path, reads: list[Path]) -> None:
    files = write_series(tmp_path / "exam", 200)
    (tmp_path / "exam" / "readme.txt").write_text("Exams of 2013.\n")
    ((data, shown, _),) = get_thermogram_reader(str(tmp_path / "exam"))(str(tmp_path / "exam"))
    assert data.shape == (200, *SIZE)
    assert data.dtype == np.float32
    assert reads == [files[99]]  # the one that napari shows first
    np.testing.assert_array_equal(data[17].compute(), frame(17).astype(np.float32))
    data[17].compute()
    assert reads == [files[99], files[17]]
    assert shown["name"] == "exam"
    assert shown["axis_labels"] == ("frame", "row", "column")
    assert format_temperature_status(31.416, shown["metadata"], 21) == (
        "31.42 °C · T0002.1.1.D.2013-01-16.01 (22 of 200)"
    )


def test_a_long_series_keeps_only_some_frames(tmp_path: Path, reads: list[Path]) -> None:
    files = write_series(tmp_path, 2 + stack.KEPT_FRAMES)
    frames = stack.FrameFiles(files)
    for place in range(len(files)):
        frames.read(place)
    frames.read(len(files) - 1)
    assert len(reads) == len(files)
    frames.read(0)
    assert len(reads) == len(files) + 1


def test_several_files_become_one_stack_in_their_order(tmp_path: Path) -> None:
    files = write_series(tmp_path, 3)[::-1]
    PluginManager.instance().discover()
    paths = [str(file) for file in files]
    ((data, _, _),) = io_utils.read(paths, stack=True, plugin_name=PLUGIN)
    expected = [np.loadtxt(file, dtype=np.float32) for file in files]
    np.testing.assert_array_equal(data.compute(), expected)


def test_frames_of_another_width_are_a_layer_of_their_own(tmp_path: Path) -> None:
    write_series(tmp_path, 3)
    np.savetxt(tmp_path / "T0900.1.1.S.2013-01-16.00.txt", frame(9, (12, 20)), fmt="%.2f")
    small, wide = get_thermogram_reader(str(tmp_path))(str(tmp_path))
    assert small[0].shape == (3, 12, 16)
    assert wide[0].shape == (12, 20)


def test_a_frame_with_other_rows_says_so_when_it_is_looked_at(tmp_path: Path) -> None:
    write_series(tmp_path, 2)
    odd = tmp_path / "T0900.1.1.S.2013-01-16.00.txt"
    np.savetxt(odd, frame(9, (11, 16)), fmt="%.2f")
    ((data, _, _),) = get_thermogram_reader(str(tmp_path))(str(tmp_path))
    with pytest.raises(ThermogramError, match=rf"{odd.name} has 11 × 16 pixels, .* 12 × 16"):
        data[2].compute()


def test_several_folders_and_arrays(tmp_path: Path) -> None:
    series = np.stack([frame(1), frame(2)]).astype(np.float32)
    np.save(tmp_path / "series.npy", series)
    np.savez(tmp_path / "series.npz", a=series[0], b=series[1])
    for name in ("series.npy", "series.npz"):
        ((data, shown, _),) = get_thermogram_reader(str(tmp_path / name))(str(tmp_path / name))
        np.testing.assert_array_equal(data, series)
        assert shown["axis_labels"][0] == "frame"


def test_a_damaged_or_wrong_first_file_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "kelvin.txt"
    np.savetxt(file, frame(1) + 273.15, fmt="%.2f")
    read = get_thermogram_reader(str(file))
    with pytest.raises(ThermogramError, match=r"kelvin\.txt, line 1.*subtract 273\.15"):
        read(str(file))


def test_what_is_not_ours_is_left_to_other_readers(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Slide 3: many neutrophils.\n")
    (tmp_path / "points.csv").write_text("index,axis-0,axis-1\n0,1.5,2.5\n")
    np.save(tmp_path / "labels.npy", np.zeros((20, 20), np.int32))
    np.save(tmp_path / "probability.npy", np.random.default_rng(0).random((20, 20)))
    (tmp_path / "empty").mkdir()
    for name in ("notes.txt", "points.csv", "labels.npy", "probability.npy", "empty", "none.txt"):
        assert get_thermogram_reader(str(tmp_path / name)) is None, name
    assert get_thermogram_reader([]) is None
    PluginManager.instance().discover()
    with pytest.raises(ValueError, match="refused the file"):
        io_utils.read([str(tmp_path / "points.csv")], stack=False, plugin_name=PLUGIN)


def test_only_large_images_are_opened_level_by_level(tmp_path: Path) -> None:
    import tifffile

    small = tmp_path / "small.ome.tif"
    tifffile.imwrite(small, np.zeros((64, 64, 3), np.uint8))
    assert get_slide_reader(str(small)) is None
    assert get_slide_reader(str(tmp_path / "none.ome.tif")) is None
    (tmp_path / "cut.ome.tif").write_bytes(b"II*\x00")
    assert get_slide_reader(str(tmp_path / "cut.ome.tif")) is None
    assert get_slide_reader(str(tmp_path)) is None
    assert get_slide_reader([str(small)]) is None
    large = tmp_path / "large.ome.tif"
    rows = np.arange(6000, dtype=np.uint32)[:, None, None]
    pixels = np.broadcast_to((rows % 251).astype(np.uint8), (6000, 6000, 3))
    tifffile.imwrite(large, pixels, tile=(512, 512), compression="zlib", photometric="rgb")
    ((levels, shown, kind),) = get_slide_reader(str(large))(str(large))
    assert kind == "image"
    assert shown["multiscale"]
    assert [level.shape[0] for level in levels] == [6000, 2000]
    assert not isinstance(levels[0], np.ndarray)
    np.testing.assert_array_equal(levels[0][700:703, 5:7], pixels[700:703, 5:7])


def test_a_large_zarr_is_opened_level_by_level(tmp_path: Path) -> None:
    import zarr

    group = zarr.open_group(tmp_path / "slide.zarr", mode="w", zarr_format=2)
    levels = [{"path": str(level)} for level in range(2)]
    for level, dataset in enumerate(levels):
        shape = (3, 6000 >> 3 * level, 6000 >> 3 * level)
        plane = group.create_array(dataset["path"], shape=shape, chunks=(3, 750, 750), dtype="u1")
        plane[:, :10, :10] = 200
        scale = [1, 0.5 * 8**level, 0.5 * 8**level]
        dataset["coordinateTransformations"] = [{"type": "scale", "scale": scale}]
    axes = [{"name": "c", "type": "channel"}] + [
        {"name": name, "type": "space", "unit": "micrometer"} for name in "yx"
    ]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": levels}]
    path = str(tmp_path / "slide.zarr")
    ((data, shown, _),) = get_slide_reader(path)(path)
    assert [level.shape for level in data] == [(6000, 6000, 3), (750, 750, 3)]
    assert (shown["scale"], shown["units"]) == ((0.5, 0.5), ("um", "um"))
    assert np.asarray(data[0][:12, 5]).tolist() == [[200] * 3] * 10 + [[0] * 3] * 2


def test_a_folder_of_our_results_is_not_claimed(tmp_path: Path) -> None:
    table = "label,class,score,row,col,min_row,min_col,max_row,max_col,area\n"
    rows = "".join(f"{n},RBC,0.9,20.5,30.5,20,30,31,41,95\n" for n in range(1, 40))
    (tmp_path / "field.cells.csv").write_text(table + rows)
    (tmp_path / "other.csv").write_text(table + rows)
    (tmp_path / "._frame.txt").write_text("31.5 " * 20 + "\n" + "31.5 " * 20)
    assert get_thermogram_reader(str(tmp_path)) is None
    np.savetxt(tmp_path / "frame.txt", np.full((20, 30), 31.5), fmt="%.2f")
    assert get_thermogram_reader(str(tmp_path)) is not None
