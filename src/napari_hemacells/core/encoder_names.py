"""Which names an encoder can have; whether its weights are here is known when it is loaded.

The names are those of :mod:`napari_hemacells.core.encode.registry`; here they are known without
it, because parameters are checked before anything is loaded.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

DEFAULT = "bundled"
INSTALLED = (DEFAULT, "bundled-2-turns", "imagenet")
WITH_FILE = ("dinobloom-s", "dinobloom-b")  # a place may follow
PUBLISHED = (*WITH_FILE, "reddino-small", "reddino-base", "reddino-large")
PREFIXES = {
    "timm": "timm:NAME",
    "file": "file:PATH?arch=NAME",
    "adapted": "adapted:PATH",
    "untrained": "untrained:NAME",
}
PATHS = ("file", "adapted", *WITH_FILE)  # what follows these is a place on this computer


def why_not(name: str) -> str:
    """Return what is wrong with the name of an encoder, a sentence; empty for one that can be.

    Examples
    --------
    >>> why_not("timm:resnet18")
    ''
    >>> why_not("bundle")
    'there is no encoder “bundle”; did you mean bundled?'
    """
    kind, colon, rest = name.partition(":")
    if kind in PREFIXES:
        body, _, options = rest.partition("?")
        named = any(one.startswith("arch=") and one != "arch=" for one in options.split("&"))
        complete = body and (kind != "file" or named)
        return "" if complete else f"an encoder of this kind is named {PREFIXES[kind]}"
    plain = name.partition("?")[0]
    if plain in (*INSTALLED, *PUBLISHED) or (kind in WITH_FILE and rest):
        return ""
    near = get_close_matches(plain, (*INSTALLED, *PUBLISHED), n=1)
    if near:
        return f"there is no encoder “{name}”; did you mean {near[0]}?"
    others = ", ".join((*INSTALLED, *PUBLISHED, *PREFIXES.values()))
    bare = "" if colon or not name.strip() else f"; a model of timm is named timm:{name}"
    return f"there is no encoder “{name}”{bare}; there are: {others}"


def with_whole_path(name: str) -> str:
    """Return the name with the place of its file from the root: it is read in another folder.

    Examples
    --------
    >>> with_whole_path("timm:resnet18")
    'timm:resnet18'
    """
    kind, colon, rest = name.partition(":")
    if not colon or kind not in PATHS:
        return name
    place, mark, options = rest.partition("?")
    return f"{kind}:{Path(place).expanduser().absolute()}{mark}{options}"
