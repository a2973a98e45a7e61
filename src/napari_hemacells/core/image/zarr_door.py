"""Which zarr arrays are opened at all: plain numbers, coded in ways that run nothing.

The metadata is read as JSON, before zarr or a codec sees it. A codec such as ``pickle`` runs what
it decodes, and the lower levels of a pyramid are decoded without being asked for.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.files.decoding import MAX_METADATA_BYTES, check_decoded

if TYPE_CHECKING:
    from pathlib import Path

METADATA = ("zarr.json", ".zgroup", ".zarray")
CODECS = frozenset({
    "adler32", "astype", "bitround", "blosc", "bz2", "crc32", "crc32c", "delta",
    "fixedscaleoffset", "fletcher32", "gzip", "jenkins_lookup3", "lz4", "lzma", "packbits",
    "pcodec", "quantize", "shuffle", "zfpy", "zlib", "zstd",
})  # fmt: skip
V3_CODECS = CODECS | {"bytes", "transpose", "sharding_indexed"}
V2_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")
V3_DTYPE = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)")
CODEC_DTYPES = ("dtype", "astype", "encode_dtype", "decode_dtype")
MAX_NESTING = 4  # shards inside shards


def inside(folder: Path, path: str) -> Path:
    """Return the place of a path in an image's metadata.

    Raises
    ------
    ImageError
        One that leads out of the folder.
    """
    member = folder / path
    if not member.resolve().is_relative_to(folder.resolve()):
        raise ImageError(
            f"The metadata names a level outside the image's own folder ({path[:60]}). Export the "
            "image again."
        )
    return member


def check_array(folder: Path) -> None:
    """Refuse an array that is more than plain numbers; groups and missing metadata pass.

    Raises
    ------
    ImageError
        Values that are no numbers, an unknown codec, or chunks too large to be decoded.
    """
    for name in ("zarr.json", ".zarray"):
        file = folder / name
        if not file.is_file():
            continue
        if file.stat().st_size > MAX_METADATA_BYTES:
            raise ImageError(
                f"The metadata of {folder.name} takes more than {MAX_METADATA_BYTES // 2**20} MB, "
                "as no image's does. Export the image again."
            )
        about = json.loads(file.read_text(encoding="utf-8"))
        if name == ".zarray":
            _check_v2(about)
        elif about.get("node_type") == "array":
            _check_v3(about)


def _check_v2(about: dict[str, Any]) -> None:
    dtype = about["dtype"]
    if not (isinstance(dtype, str) and V2_DTYPE.fullmatch(dtype)):
        raise _no_numbers(dtype)
    for codec in [about.get("compressor"), *(about.get("filters") or [])]:
        if codec is not None:
            _check_codec(str(codec["id"]), codec, CODECS)
    check_decoded(about["chunks"], int(dtype[-1]), "A chunk")


def _check_v3(about: dict[str, Any]) -> None:
    dtype = about["data_type"]
    if not (isinstance(dtype, str) and V3_DTYPE.fullmatch(dtype)):
        raise _no_numbers(dtype)
    if about.get("storage_transformers"):
        raise _unknown_codec("storage transformers")
    bits = re.search(r"\d+$", dtype)
    itemsize = int(bits[0]) // 8 if bits else 1
    sharded = _check_v3_codecs(about["codecs"], itemsize, 0)
    if not sharded:
        check_decoded(about["chunk_grid"]["configuration"]["chunk_shape"], itemsize, "A chunk")


def _check_v3_codecs(codecs: list[Any], itemsize: int, depth: int) -> bool:
    """Check the codecs of an array and of its shards; whether there are shards."""
    if depth > MAX_NESTING:
        raise _unknown_codec("shards in shards")
    sharded = False
    for codec in codecs:
        name = codec if isinstance(codec, str) else str(codec["name"])
        settings = {} if isinstance(codec, str) else codec.get("configuration") or {}
        _check_codec(name.removeprefix("numcodecs."), settings, V3_CODECS)
        if name == "sharding_indexed":
            sharded = True
            _check_v3_codecs(settings["codecs"], itemsize, depth + 1)
            _check_v3_codecs(settings.get("index_codecs", []), itemsize, depth + 1)
            check_decoded(settings["chunk_shape"], itemsize, "A chunk")
    return sharded


def _check_codec(name: str, settings: dict[str, Any], known: frozenset[str]) -> None:
    if name not in known:
        raise _unknown_codec(name)
    for key in CODEC_DTYPES:
        dtype = settings.get(key)
        numeric = isinstance(dtype, str) and (
            V2_DTYPE.fullmatch(dtype) or V3_DTYPE.fullmatch(dtype)
        )
        if dtype is not None and not numeric:
            raise _no_numbers(dtype)


def _no_numbers(dtype: Any) -> ImageError:
    return ImageError(
        f"An array of the image holds {str(dtype)[:40]!r}, not plain numbers, and is not opened. "
        "Export the image again as numbers."
    )


def _unknown_codec(name: str) -> ImageError:
    return ImageError(
        f"An array of the image is coded with {name[:40]!r}, which is not opened: it is no known "
        "compression. Export the image again with blosc, zstd or gzip."
    )
