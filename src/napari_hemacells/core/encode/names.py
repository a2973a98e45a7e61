"""What the name of an encoder says: which kind, which weights, with which options."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl

from napari_hemacells.core.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMM, UNTRAINED, FILE, ADAPTED = "timm", "untrained", "file", "adapted"


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


def parse(name: str, kinds: tuple[str, ...]) -> EncoderName:
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


def side_of(name: EncoderName) -> int | None:
    """Return the side in pixels that the option ``size`` asks for; None where it is not given.

    Raises
    ------
    EncoderError
        It is no side, or there are other options.
    """
    given = dict(name.options)
    text = given.pop("size", None)
    if given or (text is not None and not (text.isdigit() and 0 < int(text) <= 2048)):
        raise EncoderError(
            f"“{name.body}” takes one option, size in pixels, such as {name.body}?size=224."
        )
    return None if text is None else int(text)
