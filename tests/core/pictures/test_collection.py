"""Collections of pictures: numbers that stay, lazily read contents, labels, a table on disk."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_hemacells.core.encode import EmbeddingCache, embed_collection_steps
from napari_hemacells.core.encode import embed_collection as module
from napari_hemacells.core.errors import CellsError, ImageError, ProjectError
from napari_hemacells.core.pictures import CellPictures, collection, list_pictures, read_labels
from napari_hemacells.core.pictures.reading import in_threads
from napari_hemacells.core.types import CropSpec, EncoderInfo
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from pathlib import Path

COLOURS = {"red": (200, 60, 60), "violet": (90, 40, 160)}


def paint(
    file: Path, colour: tuple[int, int, int], side: int = 40, *, shift: int = 0, cols: int = 0
) -> Path:
    """A disc of half the side on pale glass; `shift` makes pictures differ."""
    cols = cols or side
    rows_at, cols_at = np.indices((side, cols))
    disc = np.hypot(rows_at - side / 2 + 0.5, cols_at - cols / 2 + 0.5) <= side / 4
    pixels = np.full((side, cols, 3), (235, 230, 240 - shift), np.uint8)
    pixels[disc] = colour
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    where = tmp_path / "my cells"
    for name, colour in COLOURS.items():
        for index in range(3):
            paint(where / name / f"{index}.png", colour, shift=index)
    return where


class MeanColour:
    """Mean colour as the vector; counts what it was given."""

    info = EncoderInfo("mean colour", "0" * 64, 3)
    device = "cpu"

    def __init__(self) -> None:
        self.seen = 0

    def encode(self, crops: np.ndarray) -> np.ndarray:
        self.seen += len(crops)
        return np.asarray(crops.mean(axis=(1, 2)), dtype=np.float32)


def test_a_folder_is_numbered_by_its_names_and_its_folders_are_classes(folder: Path) -> None:
    pictures = CellPictures.open(folder)
    assert pictures.names == tuple(f"{c}/{i}.png" for c in ("red", "violet") for i in range(3))
    assert pictures.numbers.tolist() == [1, 2, 3, 4, 5, 6]
    assert pictures.annotations() == dict(enumerate(["red"] * 3 + ["violet"] * 3, 1))
    assert pictures.modality == "colour"


def test_crops_are_the_whole_pictures_framed_by_the_size_of_their_cells(folder: Path) -> None:
    pictures = CellPictures.open(folder)
    spec = CropSpec(size=20)
    assert pictures.context == pytest.approx(2.0, abs=0.15)
    assert pictures.framing(spec) == pytest.approx(1.25 / pictures.context)
    crops = pictures.crops([4, 1], spec)
    assert crops.shape == (2, 20, 20, 3)
    assert crops.dtype == np.uint8
    assert crops[0, 10, 10].tolist() == list(COLOURS["violet"])
    assert crops[1, 10, 10].tolist() == list(COLOURS["red"])
    whole = pictures.crops([1], spec, framing=1.0)[0]
    assert (whole[:, :, 1] < 100).mean() < (crops[1][:, :, 1] < 100).mean()  # the disc is smaller


def test_a_picture_that_cannot_be_read_is_grey_and_named(folder: Path) -> None:
    (folder / "red" / "1.png").write_bytes(b"no picture")
    pictures = CellPictures.open(folder)
    crops = pictures.crops([1, 2], CropSpec(size=8))
    assert (crops[1] == 128).all()
    assert not (crops[0] == 128).all()
    assert list(pictures.unreadable) == [2]
    assert "1.png" in pictures.unreadable[2]
    assert (pictures.thumbnail(2, 8) == 128).all()
    with pytest.raises(ImageError, match=r"1\.png"):
        pictures.pixels(2)
    with pytest.raises(CellsError, match="no picture 77"):
        pictures.pixels(77)


def test_thumbnails_show_the_whole_picture_with_bars(tmp_path: Path) -> None:
    paint(tmp_path / "wide.png", COLOURS["red"], 20, cols=40)
    paint(tmp_path / "wide.jpg", COLOURS["red"], 200, cols=400)
    pictures = CellPictures.open(tmp_path)
    small = pictures.thumbnails([1, 2], 32)
    assert small.shape == (2, 32, 32, 3)
    for one in small:
        assert abs(one[16, 16].astype(int) - COLOURS["red"]).max() < 30
        assert abs(one[1, 16].astype(int) - (235, 230, 240)).max() < 12  # the bar: glass
    assert pictures.thumbnail(1, 32) is pictures.thumbnail(1, 32)


def test_numbers_stay_when_files_come_and_go(folder: Path, tmp_path: Path) -> None:
    pictures = CellPictures.open(folder)
    pictures.digests(pictures.numbers)
    pictures.save(tmp_path / "table.json")
    paint(folder / "a first class" / "0.png", (1, 2, 3))
    (folder / "red" / "0.png").unlink()
    (folder / "violet" / "2.png").rename(folder / "red" / "was violet.png")
    paint(folder / "violet" / "1.png", (9, 9, 9))
    again = CellPictures.load(tmp_path / "table.json")
    assert again.key == pictures.key
    assert again.entry(7).name == "a first class/0.png"
    assert again.missing == {1}
    assert again.entry(6).name == "red/was violet.png"
    assert again.names[1:5] == pictures.names[1:5]
    assert len(again) == 7
    paint(folder / "red" / "0.png", COLOURS["red"])
    changes = again.rescan()
    assert changes.back == (1,)
    assert not again.missing


def test_a_changed_file_keeps_its_number_and_is_told(folder: Path) -> None:
    pictures = CellPictures.open(folder)
    before = pictures.digests([1, 2])
    paint(folder / "red" / "1.png", (9, 9, 9), side=44)
    changes = pictures.rescan()
    assert changes.changed == (2,)
    assert changes.added == changes.missing == changes.moved == ()
    after = pictures.digests([1, 2])
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])


def test_a_folder_that_is_gone_leaves_every_number(folder: Path, tmp_path: Path) -> None:
    pictures = CellPictures.open(folder)
    pictures.save(tmp_path / "table.json")
    folder.rename(tmp_path / "moved")
    lost = CellPictures.load(tmp_path / "table.json")
    assert lost.missing == set(range(1, 7))
    assert (lost.crops([3], CropSpec(size=8)) == 128).all()
    found = CellPictures.load(tmp_path / "table.json", tmp_path / "moved")
    assert not found.missing
    assert found.key == pictures.key


def test_the_table_is_refused_when_it_is_damaged(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.json"
    CellPictures.open(folder).save(table)
    data = table.read_bytes()
    for damaged in (data[:-20], data.replace(b"red/0", b"red/9"), b"[]", b"", b"null"):
        table.write_bytes(damaged)
        with pytest.raises(ProjectError, match="is damaged"):
            CellPictures.load(table)
    table.write_bytes(data.replace(b'"version":1', b'"version":9'))
    with pytest.raises(ProjectError, match="newer version"):
        CellPictures.load(table)


def test_what_is_no_picture_is_left_out_and_told(folder: Path) -> None:
    (folder / "notes.docx").write_bytes(b"x")
    (folder / "labels.csv").write_text("image,class\n", encoding="utf-8")
    (folder / "red" / ".hidden.png").write_bytes(b"x")
    (folder / "cells.csv").write_text("image\n", encoding="utf-8")
    paint(folder / "an own project" / "a.png", (1, 1, 1))
    (folder / "an own project" / "project.json").write_text("{}", encoding="utf-8")
    listing = list_pictures(folder)
    assert len(listing.pictures) == 6
    assert listing.passed_over == (
        "2 files are no picture and left out (1 .docx, 1 .csv).",
    ) or listing.passed_over == ("2 files are no picture and left out (1 .csv, 1 .docx).",)


def test_parts_of_a_data_set_are_parts_and_not_classes(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name, colour in COLOURS.items():
            paint(tmp_path / part / name / "0.png", colour)
    pictures = CellPictures.open(tmp_path)
    assert set(pictures.annotations().values()) == set(COLOURS)
    assert {pictures.entry(number).part for number in (1, 2)} == {"test"}


def test_links_that_go_round_are_followed_once(folder: Path) -> None:
    (folder / "red" / "round").symlink_to(folder, target_is_directory=True)
    assert len(CellPictures.open(folder)) == 6


@pytest.mark.parametrize("name", ["missing", "bare"])
def test_a_folder_without_pictures_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "bare").mkdir()
    with pytest.raises(ImageError, match=name):
        CellPictures.open(tmp_path / name)
    with pytest.raises(ImageError, match="no pictures"):
        CellPictures.of_files([])


def test_files_of_several_folders_keep_their_order(folder: Path) -> None:
    files = [folder / "violet" / "1.png", folder / "red" / "1.png"]
    pictures = CellPictures.of_files(files)
    assert [pictures.path(number) for number in (1, 2)] == files
    assert pictures.names == ("violet/1.png", "red/1.png")
    assert pictures.rescan().added == ()
    assert pictures.crops([1], CropSpec(size=9))[0, 4, 4].tolist() == list(COLOURS["violet"])


def test_labels_of_a_table_are_matched_by_path_and_by_name(folder: Path, tmp_path: Path) -> None:
    rows = [
        "image;class;patient",
        "red/0.png;blast;p1",
        r"violet\1.png;blast;",
        "2.png;which;",
        "9.png;none;",
        "/elsewhere/my cells/violet/2.png;seg;p2",
        "violet/0;stem;",
    ]
    (tmp_path / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    pictures = CellPictures.open(folder)
    matched = pictures.apply_labels(read_labels(tmp_path / "labels.csv"))
    assert {n: row.label for n, row in matched.rows.items()} == {
        1: "blast", 5: "blast", 6: "seg", 4: "stem",
    }  # fmt: skip
    assert pictures.annotations()[1] == "blast"
    assert pictures.annotations()[2] == "red"  # by its folder
    assert pictures.groups() == {1: "p1", 6: "p2"}
    assert len(matched.sentences) == 3
    assert "9.png" in matched.sentences[0]
    assert "2.png" in matched.sentences[1]
    assert "2 pictures have no class" in matched.sentences[2]


def test_a_table_with_two_classes_for_a_picture_is_refused(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("path,label\nred/0.png,a\nred/0.png,b\n", encoding="utf-8")
    with pytest.raises(ImageError, match=r"two classes: a in line 2, b in line 3"):
        CellPictures.open(folder).apply_labels(read_labels(table))
    table.write_text("path,size\nred/0.png,3\n", encoding="utf-8")
    with pytest.raises(ImageError, match="columns image and class"):
        read_labels(table)


def test_our_own_table_of_results_gives_classes_and_not_numbers(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,label,class\na.png,17,RBC\n", encoding="utf-8")
    assert read_labels(tmp_path / "t.csv").rows[0].label == "RBC"


def test_a_collection_can_be_sent_to_another_process(folder: Path) -> None:
    pictures = CellPictures.open(folder)
    pictures.thumbnail(1, 8)
    copy = pickle.loads(pickle.dumps(pictures))  # noqa: S301
    assert copy.names == pictures.names
    assert np.array_equal(copy.thumbnail(1, 8), pictures.thumbnail(1, 8))


def test_thermograms_are_pictures_in_degrees(tmp_path: Path) -> None:
    for number, degrees in enumerate((25.0, 35.0)):
        np.savetxt(tmp_path / f"{number}.txt", np.full((24, 32), degrees), fmt="%.2f")
    paint(tmp_path / "z.png", (1, 1, 1))
    pictures = CellPictures.open(tmp_path)
    assert pictures.modality == "temperature"
    crops = pictures.crops([1, 2], CropSpec(size=16, context=1.6))
    assert crops.dtype == np.float32
    assert crops[1].mean() > crops[0].mean() + 20
    assert pictures.framing(CropSpec(context=1.6)) == 1.0
    assert (pictures.crops([3], CropSpec(size=16)) == 128).all()
    assert "keep thermograms and colour pictures in folders apart" in pictures.unreadable[3]
    assert pictures.thumbnail(1, 8).shape == (8, 8, 3)


def test_embeddings_are_kept_block_by_block_and_gone_on_with(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)
    (folder / "red" / "1.png").write_bytes(b"no picture")
    pictures, cache, spec = CellPictures.open(folder), EmbeddingCache(tmp_path / "c"), CropSpec(16)
    first = MeanColour()
    steps = embed_collection_steps(pictures, spec, first, cache, batch_size=2)
    progress = [next(steps), next(steps)]
    steps.close()  # stopped by the user
    assert [one.done for one in progress] == [0, 3]
    assert first.seen == 2
    second = MeanColour()
    embedded = run_to_end(embed_collection_steps(pictures, spec, second, cache, batch_size=2))
    assert second.seen == 3  # two were kept, one cannot be read
    assert embedded.ids.tolist() == [1, 3, 4, 5, 6]
    assert embedded.image_key == pictures.key
    assert embedded.vectors[0, 0] > embedded.vectors[-1, 0]  # red before violet
    third = MeanColour()
    again = run_to_end(embed_collection_steps(pictures, spec, third, cache, numbers=[6, 1]))
    assert third.seen == 0
    assert again.ids.tolist() == [6, 1]
    assert np.array_equal(again.vectors, embedded.vectors[[4, 0]])


def test_a_changed_picture_is_embedded_anew(folder: Path, tmp_path: Path) -> None:
    pictures, cache, spec = CellPictures.open(folder), EmbeddingCache(tmp_path / "c"), CropSpec(16)
    before = run_to_end(embed_collection_steps(pictures, spec, MeanColour(), cache))
    paint(folder / "red" / "0.png", (0, 0, 0), side=44)
    encoder = MeanColour()
    after = run_to_end(embed_collection_steps(pictures, spec, encoder, cache))
    assert encoder.seen == 1
    assert not np.array_equal(before.vectors[0], after.vectors[0])


def test_work_ahead_of_a_closed_iterator_is_dropped() -> None:
    begun = []
    results = in_threads(lambda item: begun.append(item) or item, range(1000), threads=2)
    assert next(results) == 0
    results.close()
    assert len(begun) < 100


@pytest.mark.parametrize(
    ("slow", "ask"),
    [
        ("estimate_context", lambda pictures: pictures.context),
        ("guess_run_depths", lambda pictures: pictures.depths),
        ("picture_pixels", lambda pictures: pictures.modality),
        ("list_pictures", CellPictures.rescan),
        ("content_digest", lambda pictures: pictures.digests([1])),
    ],
)
def test_a_view_never_waits_for_files_that_another_thread_reads(
    folder: Path, monkeypatch: pytest.MonkeyPatch, slow: str, ask
) -> None:
    """What is drawn asks for thumbnails and names; both locks at once would freeze the window."""
    pictures = CellPictures.open(folder)
    began, done = Event(), Event()
    read = getattr(collection, slow)

    def slowly(*given, **named):
        began.set()
        assert done.wait(60)
        return read(*given, **named)

    monkeypatch.setattr(collection, slow, slowly)
    with ThreadPoolExecutor(2) as threads:
        asked = threads.submit(ask, pictures)
        assert began.wait(60)
        view = threads.submit(
            lambda: (pictures.known_thumbnail(1, 90), pictures.names, pictures.missing)
        )
        try:
            assert view.result(30)[1] == pictures.names
        finally:
            done.set()
        asked.result(60)
