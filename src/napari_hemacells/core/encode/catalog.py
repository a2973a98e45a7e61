"""The encoders available on this computer, with titles and descriptions.

No encoder is loaded; of adapted ones only the header is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from napari_hemacells.core import encoder_names
from napari_hemacells.core import encoder_names as names
from napari_hemacells.core.encode import weights_store
from napari_hemacells.core.encode.adapted import read_header
from napari_hemacells.core.encode.foundation import DINOBLOOM, DINOBLOOM_TRAINING_DATA
from napari_hemacells.core.errors import EncoderError, StorageError


class EncoderChoice(NamedTuple):
    """An encoder that can be chosen.

    Attributes
    ----------
    name
        Name for :func:`napari_hemacells.core.encode.load_encoder`.
    title
        A short title.
    about
        Its training data and speed, in one sentence.
    """

    name: str
    title: str
    about: str


INSTALLED = (
    EncoderChoice(
        "bundled",
        "Bundled, blood (default)",
        "Trained on blood cells of three public sets (PBC, Chula, BCCD); part of the package.",
    ),
    EncoderChoice(
        "bundled-2-turns",
        "Bundled, two turns: faster",
        "The bundled network, which looks at each cell in two quarter turns instead of four: "
        "1.7 times as fast and a little less sure.",
    ),
    EncoderChoice(
        "blood-2",
        "Blood 2, five sets",
        "Trained on two more sets of white cells (Raabin, Chula dim): better on other slides of "
        "Raabin, a little worse on a laboratory that it never saw. Part of the package.",
    ),
    EncoderChoice(
        "imagenet",
        "ImageNet",
        "Trained on photographs of all kinds of things, never on blood; part of the package. To "
        "compare.",
    ),
)


def available_encoders() -> tuple[EncoderChoice, ...]:
    """Return the package's encoders, then those in the weights store, newest first."""
    blooms = (
        EncoderChoice(
            name, bloom.file, f"Trained by others on {DINOBLOOM_TRAINING_DATA}. Slow on a CPU."
        )
        for name, bloom in DINOBLOOM.items()
        if weights_store.find_weights(bloom.file) is not None
    )
    return (*INSTALLED, *stored_adapted_encoders(), *blooms)


def stored_adapted_encoders() -> tuple[EncoderChoice, ...]:
    """Return the adapted encoders in the weights store, newest first."""
    dated_choices = []
    for file in weights_store.weights_folder().glob("*.safetensors"):
        try:
            dated_choices.append((read_header(file).date, _adapted(file)))
        except EncoderError:
            continue  # weights of another kind
    return tuple(choice for _, choice in sorted(dated_choices, reverse=True))


def encoder_choice(name: str) -> EncoderChoice:
    """Return the title and description of any encoder name, with or without local weights."""
    known = next((choice for choice in INSTALLED if choice.name == name), None)
    kind, _, rest = name.partition(":")
    path = Path(rest.partition("?")[0])
    if known is not None:
        return known
    if kind == names.ADAPTED:
        try:
            return _adapted(path)
        except EncoderError:
            return EncoderChoice(name, f"Adapted: {path.name}", f"Its file is not here: {path}")
    described = {
        names.SIAMESE: ("Siamese network of yours", f"Learned which cells are alike: {path}"),
        names.FILE: (f"File {path.name}", f"A checkpoint of yours: {rest}"),
        names.UNTRAINED: (f"{rest}, untrained", "Random weights, to compare."),
    }
    published = (name, "Published by others; fetched once where there is a network.")
    return EncoderChoice(name, *described.get(kind, published))


def portable_name(name: str) -> str:
    """Return the name that finds a loaded encoder from any folder.

    One that was adapted or trained here is copied to the weights store, so that models find it
    by its hash.

    Raises
    ------
    StorageError
        If the weights store cannot be written.
    """
    name = encoder_names.with_absolute_path(name)
    kind, _, path = name.partition(":")
    if kind not in {names.ADAPTED, names.SIAMESE}:
        return name
    try:
        return f"{kind}:{weights_store.store_weights(Path(path))}"
    except OSError as error:
        raise StorageError(
            f"The encoder cannot be kept in {weights_store.weights_folder()} ({error.strerror})."
        ) from error


def _adapted(file: Path) -> EncoderChoice:
    header = read_header(file)
    day = header.date.partition("T")[0]
    cells = "1 cell" if header.crops == 1 else f"{header.crops:,} cells"
    return EncoderChoice(
        f"{names.ADAPTED}:{file}",
        f"Adapted to {cells} of yours, {day}",
        f"The encoder {header.base}, which went on learning from {cells} of yours without labels.",
    )
