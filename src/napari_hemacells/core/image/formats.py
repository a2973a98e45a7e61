"""What kind of file it is, by its first bytes: a name may say anything.

Only what is listed here is decoded. Pillow would start Ghostscript for PostScript, and other
programs for other kinds; those are refused by name.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from napari_hemacells.core.errors import HemaCellsError, ImageError
from napari_hemacells.core.files.safe_files import open_stream

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

TIFF = "TIFF"
# Signature → Pillow's name of the format; all of these are decoded in this process.
SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"\xff\x4f\xff\x51": "JPEG2000",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n": "JPEG2000",
    b"II*\x00": TIFF,
    b"MM\x00*": TIFF,
    b"II+\x00": TIFF,
    b"MM\x00+": TIFF,
    **{f"P{digit}".encode() + blank: "PPM" for digit in "123456" for blank in (b"\n", b" ")},
}
PILLOW_FORMATS = frozenset({"PNG", "JPEG", "BMP", "GIF", "WEBP", "JPEG2000", "PPM"})
FOREIGN = {
    b"%!PS": "PostScript (EPS)",
    b"\xc5\xd0\xd3\xc6": "PostScript (EPS)",
    b"%PDF": "PDF",
    b"\xd7\xcd\xc6\x9a": "a Windows metafile (WMF)",
    b"\x01\x00\x00\x00": "a Windows metafile (EMF)",
    b"ZISRAWFILE": "Zeiss CZI",
    b"\xda\xce\xbe\x0a": "Nikon ND2",
    b"\x70\x00\x00\x00": "Leica LIF",
    b"\x89HDF": "HDF5",
    b"8BPS": "Photoshop (PSD)",
    b"PK\x03\x04": "a ZIP archive",
    b"<": "a web page, SVG or other XML",
    b"\x93NUMPY": "a numpy array",
}


class Maker(NamedTuple):
    """Whose kind of file it is, the program that exports it, the library that reads it."""

    name: str
    program: str
    library: str


MAKERS = {
    ".czi": Maker("Zeiss", "ZEN", "pylibCZIrw"),
    ".zvi": Maker("Zeiss", "AxioVision", "Bio-Formats"),
    ".nd2": Maker("Nikon", "NIS-Elements", "nd2"),
    ".lif": Maker("Leica", "LAS X", "readlif"),
    ".lof": Maker("Leica", "LAS X", "readlif"),
    ".svs": Maker("Aperio", "ImageScope", "OpenSlide"),
    ".mrxs": Maker("3DHISTECH", "SlideConverter", "OpenSlide"),
    ".vsi": Maker("Olympus", "OlyVIA", "Bio-Formats"),
    ".oir": Maker("Olympus", "cellSens", "oirfile"),
    ".oib": Maker("Olympus", "cellSens", "oiffile"),
    ".oif": Maker("Olympus", "cellSens", "oiffile"),
    ".ims": Maker("Imaris", "Imaris", "h5py"),
    ".isyntax": Maker("Philips", "Philips' converter", "pyisyntax"),
    ".dcm": Maker("DICOM", "its viewer", "pydicom"),
    ".heic": Maker("Apple", "its photo program", "pillow-heif"),
}


def kind_of(file: Path) -> str | None:
    """Return Pillow's name of the format that the first bytes say; ``None`` for none of ours."""
    with open_stream(file, follow=True) as stream:
        start = stream.read(16)
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    kinds = (kind for signature, kind in SIGNATURES.items() if start.startswith(signature))
    return next(kinds, None)


def is_tiff(file: Path) -> bool:
    """Whether a file is a TIFF by its first bytes; False for one that cannot be opened."""
    try:
        return file.is_file() and kind_of(file) == TIFF
    except (HemaCellsError, OSError):
        return False


def unknown_kind_error(file: Path) -> ImageError:
    """Return what to say of a file of a kind that is not read."""
    with open_stream(file, follow=True) as stream:
        start = stream.read(16)
    if not start:
        return ImageError(f"{file.name} is empty (0 bytes): copy or export it again.")
    maker = MAKERS.get(file.suffix.lower())
    if maker is not None:
        return ImageError(f"{file.name} is a file of {maker.name}'s own kind. {_advice(maker)}")
    kinds = (words for signature, words in FOREIGN.items() if start.startswith(signature))
    words = next(kinds, None)
    holds = f"holds {words}, not a picture" if words else "cannot be read as a picture"
    return ImageError(
        f"{file.name} {holds}: its first bytes are those of no TIFF, PNG, JPEG, BMP, GIF, WebP, "
        "JPEG 2000 or PPM. Export it as TIFF or PNG."
    )


def no_image_error(folder: Path, readable: frozenset[str]) -> ImageError:
    """Return what to say of a folder without zarr metadata that was given as an image.

    Parameters
    ----------
    readable
        Endings of the pictures that are read.
    """
    suffixes = [path.suffix.lower() for path in folder.iterdir() if not path.name.startswith(".")]
    pictures = [suffix for suffix in suffixes if suffix in readable]
    if pictures:
        return ImageError(
            f"{folder.name} is a folder with {len(pictures)} pictures: give one of its files."
        )
    foreign = Counter(suffix for suffix in suffixes if suffix in MAKERS)
    if foreign:
        suffix, count = foreign.most_common(1)[0]
        maker = MAKERS[suffix]
        return ImageError(
            f"{folder.name} holds {count} {suffix} files, {maker.name}'s own kind, and no image "
            f"that is read here. {_advice(maker)}"
        )
    if folder.suffix.lower() == ".zarr":
        return ImageError(
            f"{folder.name} is a folder without zarr metadata (zarr.json, .zgroup or .zarray): "
            "an OME-Zarr image has it. Was it copied whole?"
        )
    kinds = ", ".join(sorted({suffix or "no ending" for suffix in suffixes})[:5])
    holds = f"no image that is read here ({kinds})" if kinds else "no file"
    return ImageError(
        f"{folder.name} holds {holds}, and is a folder without zarr metadata: give a folder of "
        "TIFF, PNG or JPEG, or the folder of an OME-Zarr image."
    )


def passed_over_sentence(folder: Path, suffixes: Iterable[str]) -> str:
    """Return what to say of files of makers' own kinds beside pictures; empty for none."""
    counts = Counter(suffix for suffix in suffixes if suffix in MAKERS)
    if not counts:
        return ""
    suffix, count = counts.most_common(1)[0]
    return (
        f"{folder} also holds {count} {suffix} files, {MAKERS[suffix].name}'s own kind, which are "
        f"passed over. {_advice(MAKERS[suffix])}"
    )


def _advice(maker: Maker) -> str:
    return (
        f"Export it as OME-TIFF in {maker.program}, convert it with Bio-Formats (bfconvert), or "
        f"read it in Python with {maker.library} and give the array."
    )
