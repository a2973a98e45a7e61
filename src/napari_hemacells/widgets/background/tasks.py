"""Background tasks of the dock: when they start, and which of their answers are still valid.

Each runs in a thread as a generator of progress reports that returns a typed result.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_hemacells.core.encode.growing import GrowingEmbeddings
from napari_hemacells.core.errors import CellsError, HemaCellsError, ProjectError, StorageError
from napari_hemacells.core.params import EncodeParams
from napari_hemacells.core.types import CropSpec, Progress
from napari_hemacells.session import keep_cells
from napari_hemacells.widgets.background.time_left import TimeLeft, format_time_left
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.native_libraries import single_blas_thread, without_triton
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.theme import settle_layouts

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from napari_hemacells.core.detect import PartialDetection, Regions
    from napari_hemacells.core.encode import Device, Encoder
    from napari_hemacells.core.params import DetectParams
    from napari_hemacells.core.store import Bundle, Project
    from napari_hemacells.core.types import Cells, Embeddings, SmearImage
    from napari_hemacells.session import CellsRequest, ClassifyRequest, ClassifyResult, Session
    from napari_hemacells.session.domain_shift import ShiftMeasurement, ShiftRequest

_HUB_PREFIXES = ("timm:", "reddino-")  # from the hub, unless they are on this computer


def format_progress(progress: Progress, name: str, left: float | None = None) -> str:
    """Return the task and its progress in words; `name` where the report has no message.

    Parameters
    ----------
    left
        Seconds left, where they are known.
    """
    message = progress.message or name
    if progress.total <= 1:
        return message
    counted = f"{message} {progress.done:,}/{progress.total:,}"
    remaining = format_time_left(left)
    return f"{counted}, {remaining}" if remaining else counted


def open_image_steps(
    make: Callable[[], SmearImage], key: str, project: Project | None = None
) -> Generator[Progress, None, tuple[SmearImage, str, Cells | None]]:
    """Return the image of a layer, the layer's key, and the cells that the project has of it."""
    yield Progress(0, 0, "Opening the image")
    image = make()
    known = project is not None and image.sheet is None and project.has_cells(image.key)
    if project is None or not known:
        return image, key, None
    yield Progress(0, 0, "Opening the image")
    try:
        return image, key, project.load_cells(image.key)
    except ProjectError:  # damaged: said when the image is shown
        return image, key, None


def keep_steps(
    request: CellsRequest, parts: Path | None
) -> Generator[Progress, None, tuple[CellsRequest, Cells]]:
    """Merge new cells with what is kept of the old ones, and save them.

    Parameters
    ----------
    parts
        The finished parts of the detection, which were kept until now.
    """
    yield Progress(0, 0, "Saving the cells")
    kept = keep_cells(request)
    if parts is not None:
        _forget_parts(parts)
    return request, kept


def _forget_parts(folder: Path) -> None:
    """The cells are saved: remove the finished parts that were kept meanwhile."""
    from napari_hemacells.core.detect.checkpoint import remove_checkpoint

    remove_checkpoint(folder)


def detection_steps(
    image: SmearImage,
    params: DetectParams,
    regions: Regions | None,
    resume: Path | None,
    started: Callable[[PartialDetection], None],
    *,
    folder: Path | None = None,
) -> Generator[Progress, None, Cells]:
    """Return the detected cells of the image; torch is imported here, in the thread.

    Parameters
    ----------
    started
        Is given what gathers the cells found so far.
    folder
        Where the vectors that the detector makes in passing are kept.
    """
    from napari_hemacells.core.detect import PartialDetection, detect_steps, preload_detector

    partial_result = PartialDetection()
    started(partial_result)
    yield Progress(0, 0, "Loading the detector")
    with without_triton():
        preload_detector(params.method, params.weights)
    import napari_hemacells.core.classify  # noqa: F401  # what the first click needs

    yield Progress(0, 0, "Finding cells")
    steps = detect_steps(image, params, regions=regions, resume=resume, partial=partial_result)
    cells = yield from steps
    _keep_first_vectors(folder, image.key, cells)
    return cells


def _keep_first_vectors(folder: Path | None, image_key: str, cells: Cells) -> None:
    """Keep what the detector saw of each cell, for answers before the encoder has looked."""
    from napari_hemacells.core.encode import EmbeddingCache

    if folder is not None:
        with suppress(StorageError):  # answers then wait for the encoder; it says so itself
            EmbeddingCache(folder).save_first(image_key, cells)


def partial_cells_steps(
    found: PartialDetection, folder: Path | None = None
) -> Generator[Progress, None, Cells]:
    """Return the cells that a stopped detection had found."""
    yield Progress(0, 0, "Joining the cells found so far")
    cells = found.cells()
    if cells is None:
        raise CellsError("No cells were found before the detection was stopped: detect again.")
    if found.plan is not None:
        _keep_first_vectors(folder, found.plan.image_key, cells)
    return cells


def layer_cells_steps(make: Callable[[], Cells]) -> Generator[Progress, None, Cells]:
    """Return the cells that a layer marks, with their measurements."""
    yield Progress(0, 0, "Measuring cells")
    return make()


def load_encoder_steps(params: EncodeParams) -> Generator[Progress, None, str]:
    """Return the name of an encoder once it is loaded; later loads are then fast."""
    fetched = params.encoder.startswith(_HUB_PREFIXES)
    yield Progress(0, 0, "Downloading the network" if fetched else "Loading the network")
    from napari_hemacells.core import encode
    from napari_hemacells.core.encode.catalog import portable_name

    with without_triton():
        encode.load_encoder(params.encoder, params.device)
    yield Progress(0, 0, "Loading the network")
    name = portable_name(params.encoder)
    encode.allow(name)  # the user chose it
    return name


def embedding_steps(
    image: SmearImage,
    cells: Cells,
    spec: CropSpec,
    params: EncodeParams,
    *,
    folder: Any,
    model: Bundle | None,
    measured: bool = False,
    growing: GrowingEmbeddings | None = None,
) -> Generator[Progress, None, tuple[Embeddings, Device]]:
    """Return embeddings by the loaded model's encoder, or by the chosen one.

    torch is imported here, in the thread. What the first click needs is loaded and made here too:
    before the network is, so that clicks are answered by the detector's vectors meanwhile.

    Parameters
    ----------
    growing
        Filled with the vectors as they come.
    """
    yield Progress(0, 0, "Loading the network")
    from napari_hemacells.core import encode
    from napari_hemacells.session import warm_up

    if growing is not None:
        first = encode.EmbeddingCache(folder).load_first(image.key, cells)
        if first is not None:
            with single_blas_thread():
                warm_up(first)
            growing.first = first
            yield Progress(0, 0, "Loading the network")
    with without_triton():
        device = encode.choose_device(params.device)
        encoder = _encoder_for(model, params)
    yield Progress(0, 0, "Loading the network")
    embeddings = yield from encode.embed_cells_steps(
        image,
        cells,
        spec,
        encoder,
        encode.EmbeddingCache(folder),
        batch_size=params.batch_size,
        measured=measured,
        like=None if model is None else model.encoder,
        growing=growing,
    )
    with single_blas_thread():
        warm_up(embeddings)
    return embeddings, device


def _encoder_for(model: Bundle | None, params: EncodeParams) -> Encoder:
    """Return the model's own encoder, also where only its bundle has the weights."""
    from napari_hemacells.core import encode
    from napari_hemacells.core.store import check_compatible

    if model is None:
        encode.check_allowed(params.encoder)
        return encode.load_encoder(params.encoder, params.device)
    encoder = model.make_encoder(params.device)
    if encoder.info.sha256 != model.encoder.sha256:
        encode.check_allowed(params.encoder)
        encoder = encode.load_encoder(params.encoder, params.device)
    check_compatible(model, encoder.info, model.spec)
    return encoder


def classification_steps(request: ClassifyRequest) -> Generator[Progress, None, ClassifyResult]:
    """Return the predicted classes of the cells."""
    from napari_hemacells.session import answer_request

    yield Progress(0, 0)
    with single_blas_thread():
        return answer_request(request)


def domain_shift_steps(
    request: ShiftRequest,
) -> Generator[Progress, None, ShiftMeasurement | None]:
    """Return the domain shift of the image."""
    from napari_hemacells.session.domain_shift import measure_shift

    yield Progress(0, 0)
    with single_blas_thread():
        return measure_shift(request)


_NAMES = {
    "open": "Opening the image",
    "detect": "Finding cells",
    "keep": "Saving the cells",
    "encoder": "Loading the network",
    "embed": "Embedding cells",
    "recall": "Embedding annotated cells of other images",
    "classify": "Classifying",
    "export": "Exporting",
    "shift": "Measuring the domain shift",
}
_SILENT_KINDS = {"classify", "shift"}  # not worth a progress bar
_MIN_RESUMABLE_PIXELS = 8_000_000  # pixels; a smaller image is done again in seconds
_AT_ONCE = 1000  # cells: more are saved and read in a thread
_PAUSE_MS = 300  # corrections that come faster than that are embedded together


class BackgroundTasks(QObject):
    """Detection, embedding, classification and export of one session, in threads.

    Signals
    -------
    progressed
        Steps done, steps in all (0: unknown), and the task in words.
    idle
        No task with a progress bar runs any more.
    refused, failed
        A sentence for the user: why a task was not done, or an unexpected failure.
    device_known
        The device that the network runs on.
    opened
        An image was opened: the image, and the key of the layer that shows it.
    found
        A part of the image is done: its cells.
    detected, exported
        A task ended well.
    encoder_ready
        A requested encoder is loaded: its name.
    others_embedded
        Annotated cells of other images were embedded.
    classification_dropped
        A pending classification was abandoned.
    """

    progressed = Signal(int, int, str)
    idle = Signal()
    refused = Signal(str)
    failed = Signal(str)
    device_known = Signal(str, str)
    opened = Signal(object, str)
    found = Signal(object)
    detected = Signal()
    exported = Signal(object)
    encoder_ready = Signal(str)
    others_embedded = Signal()
    classification_dropped = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.jobs = JobRunner(self)
        self.live = True
        self.encode = EncodeParams()
        self._again = False
        self.read_ahead: Cells | None = None  # cells of the image that is being opened
        self._answered_by = 0  # annotated cells with a vector at the latest early answer
        self._for_image = ""
        self._resume: Path | None = None
        self._partial: PartialDetection | None = None
        self._time_left = TimeLeft()
        self.jobs.progressed.connect(self._progressed)
        self.jobs.returned.connect(self._returned)
        self.jobs.refused.connect(self._refused)
        self.jobs.failed.connect(self._failed)
        self.jobs.stopped.connect(self._stopped)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_PAUSE_MS)
        self._soon.timeout.connect(self._embed_rested)
        self._subscriptions = Subscriptions(self)
        self._subscriptions.add(session.events.cells, self.embed)
        self._subscriptions.add(session.events.corrected, self._embed_soon)
        self._subscriptions.add(session.events.embeddings, self.classify)
        self._subscriptions.add(session.events.embeddings, self.measure)
        self._subscriptions.add(session.events.model, self.measure)
        self._subscriptions.add(session.events.image, self._image_changed)
        self._subscriptions.add(session.events.project, self._project_changed)

    def close(self) -> None:
        """Stop everything; late answers are ignored."""
        self._subscriptions.drop()
        self.jobs.close()

    def cancel(self) -> None:
        """Stop the task with the progress bar; finished parts are kept."""
        for kind in ("open", "detect", "encoder", "embed", "recall", "export"):
            self.jobs.cancel(kind)

    # --- what is asked for -------------------------------------------------------------------

    def open(self, make: Callable[[], SmearImage], key: str) -> None:
        """Open the image of a layer that is large or not in memory."""
        self.jobs.start("open", partial(open_image_steps, make, key, self._session.project))

    def detect(
        self, image: SmearImage, params: DetectParams, regions: Regions | None = None
    ) -> None:
        """Detect the cells of the image; an interrupted detection continues."""
        self._for_image = image.key
        self._resume, self._partial = self._resume_folder(image), None
        self._time_left.reset()
        self.jobs.start(
            "detect",
            partial(
                detection_steps,
                image,
                params,
                regions,
                self._resume,
                self._detection_started,
                folder=self._embeddings_folder,
            ),
        )

    def _detection_started(self, found: PartialDetection) -> None:
        self._partial = found  # in the thread; read when the detection was stopped

    def use_found(self) -> None:
        """Use the cells that the stopped detection had found; it can still be continued."""
        image, found = self._session.image, self._partial
        if image is None or found is None or image.key != self._for_image:
            return
        self._resume, self._partial = None, None  # the finished parts stay, to continue with
        self.jobs.start("detect", partial(partial_cells_steps, found, self._embeddings_folder))

    @property
    def _embeddings_folder(self) -> Path | None:
        project = self._session.project
        return None if project is None else project.embeddings_folder

    def _resume_folder(self, image: SmearImage) -> Path | None:
        """The file with the finished parts of a large image."""
        project = self._session.project
        if project is None or image.shape[0] * image.shape[1] < _MIN_RESUMABLE_PIXELS:
            return None
        return project.folder / "detection" / image.key

    def take(self, image: SmearImage, make: Callable[[], Cells]) -> None:
        """Make the image's cells from a layer."""
        self._for_image, self._resume, self._partial = image.key, None, None
        self.jobs.start("detect", partial(layer_cells_steps, make))

    def embed(self) -> None:
        """Embed the cells shown that are not in the project's cache."""
        session = self._session
        if session.cells is None or session.image is None or session.project is None:
            return
        steps = self.embedding(session.project, session.image, session.cells)
        self.jobs.start("embed", steps)

    def load_encoder(self, name: str) -> None:
        """Load an encoder; the one in use stays in use meanwhile."""
        params = self.encode.model_copy(update={"encoder": name})
        self.jobs.start("encoder", partial(load_encoder_steps, params))

    def recall(self, steps: Callable[[], Generator[Progress, None, None]]) -> None:
        """Embed annotated cells of other images."""
        self.jobs.start("recall", steps)

    def embedding(
        self, project: Project, image: SmearImage, cells: Cells
    ) -> Callable[[], Generator[Progress, None, tuple[Embeddings, Device]]]:
        """Return the steps that embed cells for the classifier in use, for a thread."""
        live = self._session.live
        live.growing = growing = GrowingEmbeddings()
        self._answered_by = 0
        return partial(
            embedding_steps,
            image,
            cells,
            self.spec,
            self.encode.model_copy(update={"encoder": live.encoder}),
            folder=project.embeddings_folder,
            model=None if live.model is None else live.model.bundle,
            measured=live.params.measured,
            growing=growing,
        )

    def _answer_early(self) -> None:
        """Classify by the vectors that are there, where more of them are there than before.

        Annotated cells come first, one by one: each of them is more.
        """
        session, growing = self._session, self._session.live.growing
        if growing is None or session.embeddings is not None or self.jobs.running("classify"):
            return
        taught = growing.of(session.annotated)
        news = (growing.first is not None) + (0 if taught is None else len(taught))
        if growing.has_news or news != self._answered_by:
            self._answered_by = news
            if session.annotated:
                self.classify()

    def _embed_soon(self, _change: object) -> None:
        """Embed new cells once the user pauses; all others are in the cache."""
        self._soon.start()

    def _embed_rested(self) -> None:
        self.embed()

    @property
    def spec(self) -> CropSpec:
        """The crops of a loaded model, otherwise the default ones."""
        model = self._session.live.model
        return CropSpec() if model is None else model.bundle.spec

    def classify(self) -> bool:
        """Request a classification and return whether its answer is pending.

        One fit runs at a time: clicks that come faster than answers share the next one.
        """
        if not self.live:
            return False
        request = self._session.request()
        if request is None:
            self._session.clear_prediction()
            return False
        self._again = self.jobs.running("classify")
        if not self._again:
            self.jobs.start("classify", partial(classification_steps, request))
        return True

    def measure(self) -> None:
        """Measure the domain shift of the image, if it is not known."""
        request = self._session.live.shift_request()
        if request is not None:
            self.jobs.start("shift", partial(domain_shift_steps, request))

    def export(self, steps: Callable[[], Generator[Progress, None, Any]]) -> None:
        """Write files."""
        self.jobs.start("export", steps)

    # --- what came back ----------------------------------------------------------------------

    def _image_changed(self) -> None:
        for kind in ("detect", "keep", "embed", "recall", "classify", "shift"):
            self.jobs.cancel(kind)
        self._again = False

    def _project_changed(self) -> None:
        self.jobs.cancel("encoder")

    def _progressed(self, kind: str, progress: Progress) -> None:
        if progress.found is not None and progress.total > 1:
            self.found.emit(progress.found)
        if kind == "embed":
            self._answer_early()
        if kind not in _SILENT_KINDS:
            left = self._time_left.after(kind, progress.done, progress.total)
            self.progressed.emit(
                progress.done, progress.total, format_progress(progress, _NAMES[kind], left)
            )

    def _returned(self, kind: str, result: Any) -> None:
        take: dict[str, Callable[[Any], None]] = {
            "open": self._opened,
            "detect": self._detected,
            "keep": self._put_kept,
            "encoder": self.encoder_ready.emit,
            "embed": self._embedded,
            "recall": lambda _nothing: self.others_embedded.emit(),
            "classify": self._classified,
            "export": self.exported.emit,
            "shift": self._session.accept_shift,
        }
        try:
            take[kind](result)
        except HemaCellsError as error:  # the project cannot be written, say
            self._refused(kind, error)

    def _opened(self, result: tuple[SmearImage, str, Cells | None]) -> None:
        image, key, self.read_ahead = result
        self.opened.emit(image, key)
        self.read_ahead = None

    def _detected(self, cells: Cells) -> None:
        image = self._session.image
        if image is not None and image.key == self._for_image:
            if len(cells) <= _AT_ONCE:
                self._session.set_cells(cells)
                if self._resume is not None:
                    _forget_parts(self._resume)
                self.detected.emit()
            else:
                request = self._session.cells_request(cells)
                self.jobs.start("keep", partial(keep_steps, request, self._resume))

    def _put_kept(self, result: tuple[CellsRequest, Cells]) -> None:
        self._session.put_kept(*result)
        self.detected.emit()

    def _embedded(self, result: tuple[Embeddings, Device]) -> None:
        embeddings, device = result
        self.device_known.emit(device.name, device.reason)
        self._session.set_embeddings(embeddings)

    def _classified(self, answer: ClassifyResult) -> None:
        if self._again:
            self._again = False
            if self.classify():
                return
        if not self._session.accept(answer):
            self.classification_dropped.emit()
        settle_layouts()

    def _refused(self, kind: str, error: HemaCellsError) -> None:
        kept = " The encoder in use has not changed." if kind == "encoder" else ""
        self.refused.emit(f"{error}{kept}")
        if kind == "classify":
            self.classification_dropped.emit()

    def _failed(self, kind: str, error: Exception) -> None:
        self.failed.emit(
            f"{_NAMES[kind]} failed unexpectedly ({error}). Your annotations are safe."
        )
        if kind == "classify":
            self.classification_dropped.emit()

    def _stopped(self, _kind: str) -> None:
        if set(self.jobs.busy) <= _SILENT_KINDS:
            self.idle.emit()
