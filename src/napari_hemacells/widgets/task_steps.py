"""What runs in threads for the dock: each a generator of reports that returns a typed result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_hemacells.core.types import Progress
from napari_hemacells.widgets.graphics import triton_kept_out
from napari_hemacells.widgets.linear_algebra import one_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from napari_hemacells.core.detect import Regions
    from napari_hemacells.core.encode import Device, Encoder
    from napari_hemacells.core.params import DetectParams, EncodeParams
    from napari_hemacells.core.store import Bundle
    from napari_hemacells.core.types import Cells, CropSpec, Embeddings, SmearImage
    from napari_hemacells.session import ClassifyAnswer, ClassifyRequest
    from napari_hemacells.session.shifting import Measured, ShiftRequest


_FETCHED = ("timm:", "reddino-")  # from the hub, unless they are on this computer


def in_words(progress: Progress, name: str) -> str:
    """Return what is being done, and how much of it is; `name` where the report does not say."""
    message = progress.message or name
    return f"{message} {progress.done:,}/{progress.total:,}" if progress.total > 1 else message


def opening_steps(
    make: Callable[[], SmearImage], key: str
) -> Generator[Progress, None, tuple[SmearImage, str]]:
    """Return the image of a layer, and the layer's key."""
    yield Progress(0, 0, "Opening the image")
    return make(), key


def detecting_steps(
    image: SmearImage, params: DetectParams, regions: Regions | None, resume: Path | None
) -> Generator[Progress, None, Cells]:
    """Return the cells of the image; torch is imported here, in the thread."""
    from napari_hemacells.core.detect import detect_steps, prepare

    yield Progress(0, 0, "Loading the detector")
    with triton_kept_out():
        prepare(params.method, params.weights)
    yield Progress(0, 0, "Finding cells")
    return (yield from detect_steps(image, params, regions=regions, resume=resume))


def making_steps(make: Callable[[], Cells]) -> Generator[Progress, None, Cells]:
    """Return the cells that a layer held, measured."""
    yield Progress(0, 0, "Measuring cells")
    return make()


def loading_steps(params: EncodeParams) -> Generator[Progress, None, str]:
    """Return the name under which an encoder is found again, once it is loaded."""
    fetched = params.encoder.startswith(_FETCHED)
    yield Progress(0, 0, "Fetching the network" if fetched else "Loading the network")
    from napari_hemacells.core import encode
    from napari_hemacells.core.encode.choices import settled

    with triton_kept_out():
        encode.encoder(params.encoder, params.device)
    yield Progress(0, 0, "Loading the network")
    return settled(params.encoder)


def embedding_steps(
    image: SmearImage,
    cells: Cells,
    spec: CropSpec,
    params: EncodeParams,
    *,
    folder: Any,
    model: Bundle | None,
    measured: bool = False,
) -> Generator[Progress, None, tuple[Embeddings, Device]]:
    """Return embeddings by the loaded model's encoder, or the chosen one.

    torch is imported here, in the thread.
    """
    yield Progress(0, 0, "Loading the network")
    from napari_hemacells.core import encode

    with triton_kept_out():
        device = encode.choose_device(params.device)
        encoder = _encoder_for(model, params)
    yield Progress(0, 0, "Loading the network")
    embeddings = yield from encode.embed_steps(
        image,
        cells,
        spec,
        encoder,
        encode.EmbeddingCache(folder),
        batch_size=params.batch_size,
        measured=measured,
        like=None if model is None else model.encoder,
    )
    return embeddings, device


def _encoder_for(model: Bundle | None, params: EncodeParams) -> Encoder:
    """Return the model's own encoder, which may be one that only its name here finds."""
    from napari_hemacells.core import encode
    from napari_hemacells.core.store import check

    if model is None:
        return encode.encoder(params.encoder, params.device)
    found = model.make_encoder(params.device)
    if found.info.sha256 != model.encoder.sha256:
        found = encode.encoder(params.encoder, params.device)
    check(model, found.info, model.spec)
    return found


def classifying_steps(request: ClassifyRequest) -> Generator[Progress, None, ClassifyAnswer]:
    """Return the classes of the cells."""
    from napari_hemacells.session import answer

    yield Progress(0, 0)
    with one_thread():
        return answer(request)


def measuring_steps(request: ShiftRequest) -> Generator[Progress, None, Measured | None]:
    """Return how far the image is from what the classifier knows."""
    from napari_hemacells.session.shifting import measure

    yield Progress(0, 0)
    with one_thread():
        return measure(request)
