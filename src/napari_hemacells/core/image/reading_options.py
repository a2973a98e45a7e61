"""How the images of one folder or run are read: one scale of values, one plane of each stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_hemacells.core.image.files import guess_run_depths, read_image, read_pixels
from napari_hemacells.core.image.layout import WHOLE_PICTURE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_hemacells.core.image.plane_selection import PlaneSelection
    from napari_hemacells.core.types import BitDepth, Groups, Pixels, SmearImage


@dataclass(frozen=True)
class ReadingOptions:
    """How each image of a run is read, so that all of them can be compared.

    Attributes
    ----------
    depths
        One bit depth, of each offset, for all images whose files do not state theirs.
    selection
        The plane of stacks, and the channels.
    """

    depths: tuple[BitDepth, ...] = ()
    selection: PlaneSelection = WHOLE_PICTURE

    @classmethod
    def for_files(
        cls, files: Sequence[Path], selection: PlaneSelection = WHOLE_PICTURE
    ) -> ReadingOptions:
        """Return the options for all images of a run; their bit depth is guessed together."""
        return cls(guess_run_depths(files, selection), selection)

    def read(self, path: Path, groups: Groups | None = None) -> SmearImage:
        """Return an image of the run; raises as :func:`read_image` does."""
        return read_image(path, groups=groups, run_depths=self.depths, selection=self.selection)

    def rescales(self, image: SmearImage) -> bool:
        """Whether an image that was read alone would have another scale in this run."""
        depth = image.bit_depth
        return (
            depth is not None
            and depth.source == "guessed"
            and any(own.offset == depth.offset and own.bits > depth.bits for own in self.depths)
        )

    @property
    def note(self) -> str:
        """Say which scale the values of the images share; empty where none was guessed."""
        words = " and ".join(
            f"{depth.bits} bits" + (f" above {depth.offset}" if depth.offset else "")
            for depth in self.depths
        )
        if not words:
            return ""
        return f"One scale for all images: {words}, guessed from their values together."

    def read_pixels(self, path: Path) -> Pixels:
        """Return the pixels of an image that is needed whole; raises as :func:`read_pixels`."""
        return read_pixels(path, run_depths=self.depths, selection=self.selection)


DEFAULT_READING = ReadingOptions()
