"""Which names an encoder can have; whether its weights are here is known when it is loaded.

The names are those of :mod:`napari_hemacells.core.encode.registry`; here they are known without
it, because parameters are checked before anything is loaded.

What the name of an encoder says: which kind, which weights, with which options.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl

from napari_hemacells.core.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = "bundled"
INSTALLED = (DEFAULT, "bundled-2-turns", "blood-2", "imagenet")
DINOBLOOM_NAMES = ("dinobloom-s", "dinobloom-b")  # a place may follow
PUBLISHED = (*DINOBLOOM_NAMES, "reddino-small", "reddino-base", "reddino-large")
NAME_PATTERNS = {
    "timm": "timm:NAME",
    "file": "file:PATH?arch=NAME",
    "adapted": "adapted:PATH",
    "siamese": "siamese:PATH",
    "untrained": "untrained:NAME",
}
PATH_KINDS = (
    "file",
    "adapted",
    "siamese",
    *DINOBLOOM_NAMES,
)  # what follows these is a place on this computer


def invalid_name_reason(name: str) -> str:
    """Return what is wrong with the name of an encoder, a sentence; empty for one that can be.

    Examples
    --------
    >>> why_not("timm:resnet18")
    ''
    >>> why_not("bundle")
    'there is no encoder “bundle”; did you mean bundled?'
    """
    kind, colon, rest = name.partition(":")
    if kind in NAME_PATTERNS:
        body, _, options = rest.partition("?")
        named = any(
            option.startswith("arch=") and option != "arch=" for option in options.split("&")
        )
        complete = body and (kind != "file" or named)
        return "" if complete else f"an encoder of this kind is named {NAME_PATTERNS[kind]}"
    plain = name.partition("?")[0]
    if plain in (*INSTALLED, *PUBLISHED) or (kind in DINOBLOOM_NAMES and rest):
        return ""
    near = get_close_matches(plain, (*INSTALLED, *PUBLISHED), n=1)
    if near:
        return f"there is no encoder “{name}”; did you mean {near[0]}?"
    others = ", ".join((*INSTALLED, *PUBLISHED, *NAME_PATTERNS.values()))
    bare = "" if colon or not name.strip() else f"; a model of timm is named timm:{name}"
    return f"there is no encoder “{name}”{bare}; there are: {others}"


def with_absolute_path(name: str) -> str:
    """Return the name with the place of its file from the root: it is read in another folder.

    Examples
    --------
    >>> with_whole_path("timm:resnet18")
    'timm:resnet18'
    """
    kind, colon, rest = name.partition(":")
    if not colon or kind not in PATH_KINDS:
        return name
    path, mark, options = rest.partition("?")
    return f"{kind}:{Path(path).expanduser().absolute()}{mark}{options}"


TIMM, UNTRAINED, FILE, ADAPTED = "timm", "untrained", "file", "adapted"
SIAMESE = "siamese"


class EncoderName(NamedTuple):
    """A name in its parts: ``kind:body?option=value&option=value``.

    Attributes
    ----------
    kind
        ``timm``, ``untrained``, ``file``, ``adapted``, the name of a foundation model, or empty.
    body
        A model's name, or a path.
    options
        What follows the question mark.
    """

    kind: str
    body: str
    options: Mapping[str, str]


def parse_encoder_name(name: str, kinds: tuple[str, ...]) -> EncoderName:
    """Return the parts of a name; one of these kinds may stand before the first colon.

    Examples
    --------
    >>> parse("timm:vit_small_patch14_dinov2?size=224", (TIMM,))
    EncoderName(kind='timm', body='vit_small_patch14_dinov2', options={'size': '224'})
    """
    before, colon, after = name.partition(":")
    kind, rest = (before, after) if colon and before in kinds else ("", name)
    body, _, query = rest.partition("?")
    if not kind and body in kinds:
        kind, body = body, ""
    return EncoderName(kind, body, dict(parse_qsl(query)))


def parse_input_size(name: EncoderName) -> int | None:
    """Return the side in pixels that the option ``size`` asks for; None where it is not given.

    Raises
    ------
    EncoderError
        It is no side, or there are other options.
    """
    given = dict(name.options)
    text = given.pop("size", None)
    if given or (
        text is not None and not (text.isdecimal() and text.isascii() and 0 < int(text) <= 2048)
    ):
        raise EncoderError(
            f"“{name.body}” takes one option, size in pixels, such as {name.body}?size=224."
        )
    return None if text is None else int(text)
