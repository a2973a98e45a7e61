"""A workaround for OpenGL: layers of points can be removed without ending the process."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING

from vispy.gloo import gl
from vispy.gloo.glir import GlirProgram

if TYPE_CHECKING:
    from collections.abc import Callable

_MENDED = "_releases_vertex_arrays"


def release_vertex_arrays() -> None:
    """Let vispy switch the vertex arrays of a visual off once it is drawn; a second call is free.

    vispy leaves them on. Where the buffer of one is deleted later, as that of a layer of points
    that is removed, OpenGL takes what is left for an address in the process's own memory, and
    Mesa reads it when the next visual is drawn: a segmentation fault.
    """
    after_draw: Callable[[GlirProgram], None] | None = getattr(GlirProgram, "_post_draw", None)
    if after_draw is None or hasattr(GlirProgram, _MENDED):
        return  # another vispy than the one that needs it

    @wraps(after_draw)
    def switch_off(program: GlirProgram) -> None:
        for buffer, place, *_ in program._attributes.values():  # noqa: SLF001
            if buffer:
                gl.glDisableVertexAttribArray(place)
        after_draw(program)

    GlirProgram._post_draw = switch_off  # noqa: SLF001
    setattr(GlirProgram, _MENDED, True)
