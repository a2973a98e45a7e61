"""Thermograms to napari layer data: exact °C, a thermal colormap, metadata from file names.

Nothing here imports napari; :mod:`napari_hemacells.reader` and the samples pass these to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_hemacells.core.temperature import (
    FrameFiles,
    group_by_size,
    parse_dmr_ir_name,
    read_celsius,
)
from napari_hemacells.core.temperature.normalise import COLORMAP, contrast_limits
from napari_hemacells.layers import METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    LayerData = tuple[Any, dict[str, Any], str]

UNIT = "°C"
AXES = {2: ("row", "column"), 3: ("frame", "row", "column")}


def thermal_layers(paths: Sequence[Path], name: str) -> list[LayerData]:
    """Return layer data of temperature files: one file as an array, several as a stack.

    Only the middle frame of a stack, which napari shows first, is read at once. Frames of another
    width go into a layer of their own.

    Raises
    ------
    ThermogramError
        As :func:`read_celsius` does, for the file that is read.
    """
    groups = group_by_size(paths)
    layers = []
    for group in groups:
        layer_name = name if len(groups) == 1 else f"{name} ({group.columns or 'other'} px wide)"
        if len(group.paths) == 1:
            celsius = read_celsius(group.paths[0])
            layers.append(thermal_layer(celsius, stem(group.paths[0]), paths=group.paths))
        else:
            frames = FrameFiles(group.paths)
            layers.append(
                thermal_layer(
                    frames.lazy(), layer_name, paths=group.paths, sample=frames.read(frames.middle)
                )
            )
    return layers


def thermal_layer(
    celsius: Any,
    name: str,
    *,
    paths: Sequence[Path] = (),
    sample: NDArray[np.float32] | None = None,
) -> LayerData:
    """Return layer data of temperatures, in memory or lazy.

    Parameters
    ----------
    celsius
        ``(rows, cols)`` or ``(frames, rows, cols)`` °C.
    paths
        The file of each frame; a single one if one file contains all frames.
    sample
        Temperatures that set the contrast limits; default: all.
    """
    frames = [parse_dmr_ir_name(path.name) for path in paths]
    about = {
        "role": "image",
        "modality": "temperature",
        "unit": UNIT,
        "files": [str(path) for path in paths],
        "frames": [None if frame is None else frame.to_dict() for frame in frames],
    }
    shown = {
        "name": name,
        "colormap": COLORMAP,
        "contrast_limits": contrast_limits(celsius if sample is None else sample),
        "interpolation2d": "nearest",
        "rgb": False,
        "multiscale": False,
        "axis_labels": AXES[celsius.ndim],
        "metadata": {METADATA_KEY: about},
    }
    return celsius, shown, "image"


def is_thermal(metadata: Mapping[str, Any]) -> bool:
    """Whether a layer with this metadata shows temperatures."""
    mine = metadata.get(METADATA_KEY)
    return isinstance(mine, dict) and mine.get("modality") == "temperature"


def patient_of(metadata: Mapping[str, Any], frame: int = 0) -> str | None:
    """The patient of a frame of a temperature layer; ``None`` if its name does not say."""
    frames = metadata[METADATA_KEY].get("frames") or [None]
    name_fields = frames[min(frame, len(frames) - 1)]
    return None if name_fields is None else str(name_fields["patient"])


def format_temperature_status(
    value: float, metadata: Mapping[str, Any], frame: int | None = None
) -> str:
    """Text on the pixel under the pointer: ``31.42 °C · T0287.1.1.D… (frame 18 of 20)``."""
    text = f"{value:.2f} {UNIT}"
    files = metadata[METADATA_KEY]["files"]
    if frame is None or not 0 <= frame < len(files) or len(files) < 2:
        return text
    name = files[frame].replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return f"{text} · {name} ({frame + 1} of {len(files)})"


def stem(path: Path) -> str:
    """Display name of a file, without the suffixes, of which DMR-IR names have many."""
    return path.name.removesuffix(path.suffix) if path.suffix else path.name
