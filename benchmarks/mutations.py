"""Changes of a file by chance, for ``mutated_files.py``: of its bytes, and of what it says.

What a container checks (checksums of PNG chunks, of ZIP members, of the journal, of a project or
model) is made right again, so that the reader behind the check is met too.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from numpy.typing import NDArray

    Change = Callable[[random.Random, bytes], bytes]

PIECES = (
    b"-1", b"0", b"nan", b"NaN", b"1e999", b"1e-999", b"99999999999999999999", b"\xff" * 4,
    b"\0" * 4, b"\x7f\xff\xff\xff", b'"', b",", b";", b"\n", b"\r\n", b"\t", b"[", b"{", b"}",
    b"null", b"true", b"..", b"/", b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"<", b">", b"&#0;",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 3, 7, 127, 128, 255, 256, 32767, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1,
    2**40, 2**53, 2**63 - 1, 2**63, 2**64, -(2**31), -(2**63),
)  # fmt: skip
SEVERAL = (1, 1, 1, 2, 2, 5, 20)
BLANK = "0" * 64


def change_bytes(rng: random.Random, data: bytes) -> bytes:
    """Flip bits, cut, insert, swap, overwrite; numbers mostly where headers are."""
    changed = bytearray(data)
    for _ in range(rng.choice(SEVERAL)):
        size = len(changed)
        if not size:
            break
        at = rng.randrange(size) if rng.random() < 0.5 else rng.randrange(min(size, 200))
        kind = rng.randrange(8)
        if kind == 0:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[at] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        elif kind == 2:
            del changed[at : at + rng.choice((1, 2, 4, 50, 1000))]
        elif kind == 3:
            changed[at:at] = rng.randbytes(rng.choice((1, 2, 4, 50)))
        elif kind == 4:
            del changed[rng.randrange(size) :]
        elif kind == 5:
            other = rng.randrange(size)
            changed[at : at + 8] = changed[other : other + 8]
        elif kind == 6:
            form = rng.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
            length = struct.calcsize(form)
            number = rng.choice(NUMBERS) % (1 << 8 * length)
            changed[at : at + length] = struct.pack(form, number)
        else:
            changed[at : at + rng.choice((0, 1, 1, 4))] = rng.choice(PIECES)
    return bytes(changed)


def other_value(rng: random.Random, value: Any) -> Any:  # noqa: C901, PLR0911, PLR0912
    """Something else than a value of JSON: another number, kind or size."""
    kind = rng.randrange(14)
    if kind == 0:
        return None
    if kind == 1:
        return rng.choice(NUMBERS)
    if kind == 2:
        return rng.choice((float("nan"), float("inf"), -float("inf"), 1e308, -0.5, 1e-320))
    if kind == 3:
        return rng.choice(("", "x", "0", "nan", "../..", "a" * 5000, "\0", "\ud800", "é\n"))
    if kind == 4:
        return rng.choice(([], [[]], {}, [None], {"": None}, [[[[[1]]]]], True, False))
    if kind == 5 and isinstance(value, list):
        return value * rng.choice((2, 100)) if value else [0]
    if kind == 6 and isinstance(value, list):
        return value[:-1]
    if kind == 7 and isinstance(value, str):
        return value[: rng.randrange(len(value) + 1)] + rng.choice(("", "=", "\u202e", "9"))
    if kind == 8 and isinstance(value, int | float):
        return value * rng.choice((-1, 2, 1000, 0.5, 10**9))
    if kind == 9:
        return [value]
    if kind == 10:
        return str(value)
    if kind == 11:
        deep: Any = value
        for _ in range(rng.choice((5, 60, 300))):
            deep = [deep] if rng.random() < 0.5 else {"a": deep}
        return deep
    if kind == 12 and isinstance(value, dict) and value:
        return {key: item for key, item in value.items() if rng.random() < 0.5}
    return {"value": value} if kind == 13 else rng.choice(NUMBERS)


def change_values(rng: random.Random, content: Any) -> Any:  # noqa: C901
    """Change, remove, add or swap values of JSON, anywhere in it."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        places = [((), None, content)]
        for _, _, item in places:
            if isinstance(item, dict):
                places += [((), (item, key), value) for key, value in item.items()]
            elif isinstance(item, list):
                places += [((), (item, key), value) for key, value in enumerate(item)]
            if len(places) > 2000:
                break
        _, where, value = rng.choice(places)
        if where is None:
            if rng.random() < 0.1:
                content = other_value(rng, content)
            continue
        parent, key = where
        kind = rng.randrange(8)
        if kind == 0:
            del parent[key]
        elif kind == 1 and isinstance(parent, dict):
            parent[rng.choice(("", "extra", str(key).upper(), "__class__"))] = parent.pop(key)
        elif kind == 2:
            parent[key] = rng.choice(places)[2]
            content = (
                json.loads(json.dumps(content, default=str)) if _is_tree(content) else content
            )
            if not _is_tree(content):
                parent[key] = None
        else:
            parent[key] = other_value(rng, value)
    return content


def _is_tree(content: Any, above: tuple[int, ...] = ()) -> bool:
    """Whether nothing holds itself."""
    if id(content) in above or len(above) > 400:
        return False
    parts = content.values() if isinstance(content, dict) else content
    return not isinstance(content, dict | list) or all(
        _is_tree(part, (*above, id(content))) for part in parts
    )


def to_json(content: Any) -> bytes:
    """JSON as Python writes it, with NaN and lone surrogates."""
    return json.dumps(content).encode()


def change_json(rng: random.Random, data: bytes) -> bytes:
    """Change the values of a JSON file; very deep ones now and then."""
    if rng.random() < 0.02:
        depth = rng.choice((900, 100_000))
        return rng.choice((b"[" * depth, b'{"a":' * depth, b"[" * depth + b"]" * depth))
    return to_json(change_values(rng, json.loads(data)))


def change_project(rng: random.Random, data: bytes) -> bytes:
    """Change ``project.json`` and give it its checksum."""
    content = change_values(rng, json.loads(data))
    if isinstance(content, dict) and "checksum" in content and rng.random() < 0.9:
        del content["checksum"]
        content["checksum"] = BLANK
        blank = to_json(content)
        return blank.replace(BLANK.encode(), hashlib.sha256(blank).hexdigest().encode())
    return to_json(content)


def change_journal(rng: random.Random, data: bytes) -> bytes:
    """Change records of a journal, each with its checksum."""
    lines = data.splitlines()
    entries = [json.loads(line) for line in lines]
    which = rng.randrange(len(entries))
    if rng.random() < 0.8:
        entries[which]["record"] = change_values(rng, entries[which]["record"])
    elif rng.random() < 0.5:
        entries[which]["n"] = other_value(rng, entries[which]["n"])
    else:
        entries.insert(which, entries[rng.randrange(len(entries))])
        for number, entry in enumerate(entries):
            entries[number] = entry | {"n": number}
    sealed = []
    for entry in entries:
        rest = {key: value for key, value in entry.items() if key != "crc"}
        body = json.dumps(rest, separators=(",", ":")).encode()[1:]
        if rng.random() < 0.03:
            body = change_bytes(rng, body).replace(b"\n", b" ")
        sealed.append(b'{"crc":"%08x",%s\n' % (zlib.crc32(body), body))
    return b"".join(sealed)


def change_safetensors(rng: random.Random, data: bytes) -> bytes:
    """Change the header of a safetensors file, of the right length."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    about = header.get("__metadata__")
    key = rng.choice(list(about)) if about and rng.random() < 0.6 else None
    if key is not None and about[key][:1] in "{[":
        about[key] = json.dumps(change_values(rng, json.loads(about[key])))
    elif key is not None:
        about[key] = str(other_value(rng, about[key]))
    else:
        header = change_values(rng, header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def change_tensors(rng: random.Random, data: bytes) -> bytes:
    """Change tensors of a safetensors file, which stays whole: shape, dtype, values, names."""
    length = int.from_bytes(data[:8], "little")
    about = json.loads(data[8 : 8 + length]).get("__metadata__")
    tensors = load_tensors(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        name = rng.choice(sorted(tensors))
        tensors[name] = _other_tensor(rng, tensors[name])
        if rng.random() < 0.2:
            tensors[rng.choice((name[:-1] or "x", f"{name}.x", "weight"))] = tensors.pop(name)
        elif rng.random() < 0.1 and len(tensors) > 1:
            del tensors[name]
    return save_tensors(
        {name: np.ascontiguousarray(part) for name, part in tensors.items()}, about
    )


def _other_tensor(  # noqa: PLR0911
    rng: random.Random, tensor: NDArray[Any]
) -> NDArray[Any]:
    """Return another tensor in the place of one."""
    way = rng.randrange(9)
    if way == 0:
        return tensor.reshape(-1)
    if way == 1:
        return tensor.T
    if way == 2:
        return tensor[..., np.newaxis] if rng.random() < 0.5 else tensor[np.newaxis]
    if way == 3:
        return tensor[:0] if tensor.ndim else tensor.reshape(1)
    if way == 4:
        return np.concatenate([tensor, tensor]) if tensor.ndim else np.stack([tensor] * 2)
    if way == 5:
        return tensor[: max(1, len(tensor) // 2)] if tensor.ndim else tensor.reshape(1, 1)
    if way == 6:
        kinds = (np.float16, np.float64, np.int64, np.int8, np.uint8, np.bool_, np.float32)
        with np.errstate(all="ignore"):
            return tensor.astype(rng.choice(kinds))
    values = tensor.copy().reshape(-1)
    if values.size and values.dtype.kind == "f":
        values[rng.randrange(values.size)] = rng.choice((np.nan, np.inf, -np.inf, 3e38, 0, -1))
    elif values.size and values.dtype.kind in "iu":
        limits = np.iinfo(values.dtype)
        values[rng.randrange(values.size)] = rng.choice((limits.min, limits.max, 0, 1))
    return values.reshape(tensor.shape) if way == 7 else np.full_like(tensor, values[:1].sum())


def change_zip(rng: random.Random, data: bytes) -> bytes:
    """Change a member of a ZIP file, with its checksum; drop, rename or repeat it."""
    members = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    kind = rng.randrange(8)
    if kind == 0:
        del members[name]
    elif kind == 1:
        members[rng.choice(("x", f"{name}.npy", "../x", ""))] = members.pop(name)
    elif kind == 2:
        members[name] = members[rng.choice(list(members))]
    elif name.endswith(".npy") and kind < 6:
        members[name] = change_array(rng, members[name])
    else:
        members[name] = change_bytes(rng, members[name])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return packed.getvalue()


def change_array(rng: random.Random, data: bytes) -> bytes:
    """Another array of numpy: other kind, shape or values; JSON in it changed."""
    array = np.load(io.BytesIO(data), allow_pickle=False)
    kind = rng.randrange(6)
    if array.dtype.kind == "U" and not array.shape and str(array)[:1] == "{" and kind < 5:
        array = np.array(json.dumps(change_values(rng, json.loads(str(array)))))
    elif kind == 0:
        array = array.astype(
            rng.choice(("f8", "i1", "u1", "c8", "S3", "U9", "?", "f2")), copy=True
        )
    elif kind == 1:
        array = array[None] if rng.random() < 0.5 else array.ravel()[: rng.randrange(3)]
    elif kind == 2 and array.size:
        array = array.copy()
        if array.dtype.kind in "iuf":
            number = rng.choice((0, -1, 1, 2**31, 2**62, float("nan"), float("inf"), 1e308))
            with np.errstate(all="ignore"):
                array.ravel()[rng.randrange(array.size)] = np.array(number).astype(array.dtype)
    elif kind == 3:
        array = np.resize(array, (array.size + rng.choice((1, 5)), 1)) if array.size else array
    elif kind == 4:
        return _change_header(rng, data)
    else:
        array = array[::-1] if array.ndim else array
    packed = io.BytesIO()
    np.save(packed, array, allow_pickle=False)
    return packed.getvalue()


def _change_header(rng: random.Random, data: bytes) -> bytes:
    """Change what an array of numpy says of its kind and shape; the length is right."""
    size = int.from_bytes(data[8:10], "little")
    text = rng.choice(
        (
            "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }",
            "{'descr': '<f4', 'fortran_order': True, 'shape': (-1, 4), }",
            "{'descr': '<U99999999', 'fortran_order': False, 'shape': (9,), }",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (30,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (), }",
            "{'descr': '<M8[s]', 'fortran_order': False, 'shape': (10, 6), }",
            "{'descr': '<f4', 'fortran_order': 1, 'shape': (10, 12.0), }",
            "(" * 200,
        )
    ).encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return data[:8] + len(text).to_bytes(2, "little") + text + data[10 + size :]


def change_png(rng: random.Random, data: bytes) -> bytes:
    """Change chunks of a PNG, each with its checksum."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    kind = rng.randrange(6)
    which = 0 if rng.random() < 0.4 else rng.randrange(len(chunks))
    name, content = chunks[which]
    if kind == 0:
        chunks.pop(which)
    elif kind == 1:
        chunks.insert(which, chunks[rng.randrange(len(chunks))])
    elif kind == 2:
        extra = rng.choice(
            (
                (b"PLTE", rng.randbytes(rng.choice((1, 6, 768)))),
                (b"tRNS", rng.randbytes(rng.choice((1, 2, 6, 300)))),
                (
                    b"zTXt",
                    b"a\0\0" + zlib.compress(bytes(200_000_000 if rng.random() < 0.01 else 9)),
                ),
                (b"iCCP", b"a\0\0" + zlib.compress(rng.randbytes(50))),
                (b"sBIT", rng.randbytes(rng.choice((1, 3, 9)))),
                (b"pHYs", rng.randbytes(rng.choice((2, 9)))),
                (b"eXIf", rng.randbytes(40)),
                (b"acTL", rng.randbytes(8)),
                (b"fcTL", rng.randbytes(26)),
            )
        )
        chunks.insert(min(1, len(chunks)), extra)
    elif name == b"IDAT" and kind < 5:
        chunks[which] = name, zlib.compress(change_bytes(rng, _inflated(content)))
    else:
        chunks[which] = name, change_bytes(rng, content)
    parts = [data[:8]]
    for name, content in chunks:
        crc = zlib.crc32(name + content)
        parts.append(struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc))
    return b"".join(parts)


def _inflated(content: bytes) -> bytes:
    try:
        return zlib.decompress(content)
    except zlib.error:
        return content


def change_tiff(rng: random.Random, data: bytes) -> bytes:
    """Change kind, count or value of entries in the first directory of a little-endian TIFF."""
    changed = bytearray(data)
    big = data[2:4] == b"\x2b\0"
    form, head, size, count = ("<Q", 8, 20, "<Q") if big else ("<I", 4, 12, "<H")
    (at,) = struct.unpack_from(form, data, head)
    (entries,) = struct.unpack_from(count, data, at)
    at += struct.calcsize(count)
    for _ in range(rng.choice((1, 1, 2, 3))):
        entry = at + size * rng.randrange(entries)
        field = rng.choice((0, 2, 4, 4, size - head, size - head, size - head))
        width = 2 if field < 4 else head
        number = rng.choice((*NUMBERS, rng.randrange(70000), rng.randrange(len(data))))
        if field == 2:
            number = rng.randrange(20)
        elif field == 0:
            number = rng.choice((254, 256, 257, 258, 259, 262, 273, 277, 279, 284, 317, 322, 324))
        changed[entry + field : entry + field + width] = (number % (1 << 8 * width)).to_bytes(
            width, "little"
        )
    return bytes(changed)


def change_lines(rng: random.Random, data: bytes) -> bytes:
    """Change fields of a text table: swap, repeat, empty, replace them."""
    lines = data.split(b"\n")
    for _ in range(rng.choice(SEVERAL)):
        which = rng.randrange(len(lines))
        separator = next(
            (char for char in (b",", b";", b"\t", b" ") if char in lines[which]), b","
        )
        cells = lines[which].split(separator)
        place = rng.randrange(len(cells))
        kind = rng.randrange(7)
        if kind == 0:
            cells[place] = str(other_value(rng, "1")).encode(errors="replace")
        elif kind == 1:
            cells[place] = rng.choice((*PIECES, b"", b"=1+1", b"@x", b"12/05/1970", b"1,5", b"-"))
        elif kind == 2:
            cells = cells[:place]
        elif kind == 3:
            cells = (cells * rng.choice((2, 50)))[:10_000]
        elif kind == 4:
            lines.insert(which, lines[rng.randrange(len(lines))])
        elif kind == 5:
            other = rng.randrange(len(cells))
            cells[place], cells[other] = cells[other], cells[place]
        else:
            cells[place] = b'"' + cells[place]
        lines[which] = separator.join(cells)
    return b"\n".join(lines)
