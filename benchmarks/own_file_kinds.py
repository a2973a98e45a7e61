"""Files that the program itself writes and reads: small ones, their readers.

For ``mutated_files.py``.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from safetensors.numpy import save as save_tensors

import mutations as change
from file_kinds import BYTES, COLOUR, KEY, LABELS, RNG, Kind, npz, of_file
from napari_hemacells.core.annotate import (
    CorrectCells,
    DeleteClass,
    RestoreLabels,
    SetClassKey,
    SetLabels,
    cell_record,
    default_palette,
)
from napari_hemacells.core.annotate.cell_edits import apply_corrections
from napari_hemacells.core.cell_masks import LazyLabels, PackedMasks
from napari_hemacells.core.classify import SupportSet, fit
from napari_hemacells.core.detect import cells_from_labels
from napari_hemacells.core.detect.checkpoint import DetectionCheckpoint
from napari_hemacells.core.detect.learned.metadata import read_training_data
from napari_hemacells.core.detect.learned.model import load_model
from napari_hemacells.core.encode import EmbeddingCache
from napari_hemacells.core.encode.adapted import read_header
from napari_hemacells.core.encode.weights_store import read_tensors
from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.store import Bundle, Project, load_bundle, save_bundle
from napari_hemacells.core.store.cells_file import (
    _CHECKSUM_TAG,
    _digest,
    _digest_of_arrays,
    read_cells,
    read_ids,
    read_mask_ids,
    read_masks,
    write_cells,
    write_masks,
)
from napari_hemacells.core.train.callbacks import EarlyStopping, load_checkpoint, save_checkpoint
from napari_hemacells.core.train.classifier.model_store import list_models, load_job, trained_cells
from napari_hemacells.core.train.classifier.results import read_results
from napari_hemacells.core.train.classifier.split import SplitRule, load_split
from napari_hemacells.core.train.detector.config import read_left_out
from napari_hemacells.core.train.detector.dataset import load_fields
from napari_hemacells.core.train.learning_curves import Curves
from napari_hemacells.core.train.selfsupervised.dataset import (
    AdaptTrainingSet,
    LabelledCrops,
    read_training_set,
    write_training_set,
)
from napari_hemacells.core.train.selfsupervised.encoder_store import load_pending_outcome
from napari_hemacells.core.train.trainer import Trainer
from napari_hemacells.core.types import (
    CellRef,
    CropSpec,
    Embeddings,
    EncoderInfo,
    PartCells,
    SmearImage,
)

ROOT = Path(__file__).resolve().parents[1]
OLD = ROOT / "tests/fixtures/v0.1"
TRAINING = "models/classifier-20260102-030405"
ENCODER = EncoderInfo(name="fake", sha256="e" * 64, dim=4)
DETECTOR = ROOT / "src/napari_hemacells/weights/detector.safetensors"


def saved_cells() -> Any:
    """Cells of the label image."""
    return cells_from_labels(LABELS, LABELS.shape)


def make_project(folder: Path) -> None:
    """A project with an image, its cells, annotations and corrections."""
    project = Project.create(folder, "Smear")
    project.add_image(SmearImage(COLOUR, KEY, "field"))
    cells = saved_cells()
    project.save_cells(KEY, cells)
    with contextlib.closing(project.open_history("anna")) as history:
        for action in journal_actions(cells):
            history.do(action)
    project = Project.open(folder)
    project.update(encoder=ENCODER)


def journal_actions(cells: Any) -> list[Any]:
    """One action of several kinds."""
    first, second = (cell_record(cells, cell) for cell in (1, 2))
    return [
        SetLabels(((CellRef(KEY, 1), 9.0, 9.0), (CellRef(KEY, 3), 9.0, 40.0)), "rbc", "anna"),
        SetLabels(((CellRef(KEY, 4), 30.0, 9.0),), "wbc", "anna"),
        RestoreLabels(((CellRef(KEY, 4), "anna", None),)),
        SetClassKey("rbc", 5),
        CorrectCells(KEY, removed=(first,), annotator="anna"),
        CorrectCells(KEY, removed=(second,), added=(second,), annotator="anna"),
        DeleteClass("platelets"),
    ]


def open_project(folder: Path) -> None:
    """Open a project as the dock does: journal, cells, corrections, models."""
    project = Project.open(folder)
    with contextlib.closing(project.open_history("anna")) as history:
        state = history.state
    for image in project.images:
        cells = project.load_cells(image.key) if project.has_cells(image.key) else None
        if cells is not None:
            apply_corrections(cells, state.corrections.get(image.key, {}))
            project.cell_ids(image.key)
        with contextlib.suppress(HemaCellsError):
            project.locate(image.key)
    list_models(project)
    load_pending_outcome(project)
    EmbeddingCache(project.embeddings_folder).load(
        KEY, project.content.encoder or ENCODER, project.content.crop, np.zeros((1, 4), np.int64)
    )


def make_cells(folder: Path) -> None:
    """A table of cells as a project keeps it."""
    write_cells(folder / "a.labels.tif", folder / "a.cells.csv", saved_cells())


def change_cells(rng: Any, data: bytes) -> bytes:
    """Change what a file of cells says, with the right checksum."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        labels, about = file.asarray(), json.loads(file.pages.first.description)
    if rng.random() < 0.5:
        about["table"] = change.change_lines(rng, about["table"].encode()).decode(errors="replace")
    else:
        about = change.change_values(rng, about)
    text = json.dumps(about)
    kind = rng.randrange(5)
    if kind == 0:
        labels = labels[: rng.randrange(1, 40)]
    elif kind == 1:
        labels = labels * rng.choice((-1, 1000, 50_000_000))
    labels = labels.astype(np.int32)
    checksum = f"{_digest([text.encode()])} {_digest_of_arrays([labels])}"
    stream = io.BytesIO()
    tags = [(_CHECKSUM_TAG, "s", 0, checksum, True)] if rng.random() < 0.9 else []
    tifffile.imwrite(stream, labels, description=text, metadata=None, extratags=tags)
    return stream.getvalue()


def load_cells(folder: Path) -> None:
    """Read cells as a project does."""
    file = folder / "a.labels.tif"
    with contextlib.suppress(HemaCellsError):
        read_ids(file)
    use_cells(read_cells(file))


def use_cells(cells: Any) -> None:
    """What everybody does with cells first."""
    ids = cells.ids
    for cell in ids[:3].tolist():
        cells.mask_of(int(cell))
    cells.position.get(1)


def make_masks(folder: Path) -> None:
    """Cells of a large image."""
    cells = saved_cells()
    boxes = cells.table[["min_row", "min_col", "max_row", "max_col"]].to_numpy()
    masks = PackedMasks.of_labels(LABELS, cells.ids.tolist(), boxes)
    labels = LazyLabels(LABELS.shape, cells.ids, masks)
    write_masks(folder / "a.masks.npz", labels, cells)


def change_masks(rng: Any, data: bytes) -> bytes:
    """Change masks, with the right checksum."""
    changed = change.change_zip(rng, data)
    try:
        with np.load(io.BytesIO(changed), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files if name != "checksum"}
        return npz(**arrays, checksum=np.array(_digest_of_arrays(arrays.values())))
    except Exception:  # noqa: BLE001
        return changed


def load_masks(folder: Path) -> None:
    """Read the cells of a large image."""
    file = folder / "a.masks.npz"
    with contextlib.suppress(HemaCellsError):
        read_mask_ids(file)
    cells = read_masks(file)
    np.asarray(cells.labels[:40, :60])
    use_cells(cells)


def make_cache(folder: Path) -> None:
    """An embedding cache."""
    boxes = np.arange(8, dtype=np.int64).reshape(2, 4)
    EmbeddingCache(folder).save(KEY, ENCODER, CropSpec(), boxes, np.ones((2, 4), np.float32))


def load_cache(folder: Path) -> None:
    """Read it."""
    EmbeddingCache(folder).load(KEY, ENCODER, CropSpec(), np.arange(8).reshape(2, 4))


def unseal_cache(rng: Any, data: bytes) -> bytes:
    """Other tensors of an embedding cache, without a checksum."""
    boxes, vectors = np.arange(8, dtype=np.int64).reshape(2, 4), np.ones((2, 4), np.float32)
    kinds = ("f4", "i8", "f8", "u1", "?")
    boxes = change_shape(rng, boxes).astype(rng.choice(kinds))
    vectors = change_shape(rng, vectors).astype(rng.choice(kinds))
    return save_tensors({"boxes": boxes, "vectors": vectors}) if rng.random() < 0.9 else data


def change_shape(rng: Any, array: Any) -> Any:
    """Another shape, or the same."""
    return rng.choice(
        (array, array.ravel(), array[None], array[:1], array[:, :1], array[:0], array.T)
    )


def make_bundle(folder: Path) -> None:
    """A small model."""
    vectors = np.concatenate([RNG.normal(at, 0.1, (6, 4)) for at in (0, 1)]).astype(np.float32)
    labels = ("rbc",) * 6 + ("wbc",) * 6
    palette = default_palette()
    head = fit(SupportSet(vectors, labels), palette.ids)
    tensors, about = head.to_tensors()
    save_bundle(
        folder / "model",
        Bundle("Red", ENCODER, CropSpec(), palette, tensors, about, vectors, labels, 40.0, 0.1),
    )


def change_bundle(rng: Any, data: bytes) -> bytes:
    """Change ``bundle.json`` with its right hash."""
    content = change.change_values(rng, json.loads(data))
    if isinstance(content, dict) and rng.random() < 0.9:
        content.pop("content_sha256", None)
        if rng.random() < 0.2:
            return change.to_json(content | {"version": 1})
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        content["content_sha256"] = digest
    return change.to_json(content)


def copy_model(folder: Path) -> None:
    """A fine-tuned model of an earlier version."""
    shutil.copytree(OLD / "project" / TRAINING / "model", folder / "model")


def open_bundle(folder: Path) -> None:
    """Load a model and use its head."""
    file = folder / "model/model.safetensors"
    about = folder / "model/bundle.json"
    seal_tensors(file, about)
    bundle = load_bundle(folder / "model")
    head = bundle.head
    ids = np.arange(1, len(bundle.vectors) + 1)
    head.predict(Embeddings(ids, bundle.vectors, bundle.encoder, bundle.spec, KEY))
    if bundle.encoder_tensors:
        bundle.make_encoder("cpu")


def seal_tensors(file: Path, about: Path) -> None:
    """Write the hash of changed tensors into the JSON of every second model."""
    try:
        data = file.read_bytes()
        content = json.loads(about.read_bytes())
        digest = hashlib.sha256(data).hexdigest()
        if content["tensors_sha256"] == digest or zlib.crc32(data) % 2:
            return
        content["tensors_sha256"] = digest
        content.pop("content_sha256")
        sealed = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        about.write_bytes(json.dumps(content | {"content_sha256": sealed}).encode())
    except Exception:  # noqa: BLE001  # the JSON is the one that was changed
        return


def make_training(folder: Path) -> None:
    """The folder of a finished training, in a project."""
    source = OLD / "project" / TRAINING
    shutil.copytree(
        source, folder / TRAINING, ignore=shutil.ignore_patterns("crops", "model", "train.csv")
    )
    (folder / TRAINING / "model").mkdir()
    Project.create(folder, "Smear")
    (folder / TRAINING / "suspects.csv").write_text(
        "name,path,label,suggested,score,confidence,flagged\n"
        "a.png,/x/a.png,RBC,WBC,0.1,0.9,1\nb.png,/x/b.png,WBC,RBC,0.5,0.7,0\n"
    )


def read_training(folder: Path) -> None:
    """Read a finished training as the dock does."""
    training = folder / TRAINING
    rule = SplitRule(validation=0.3)
    errors = []
    for step in (
        lambda: list_models(Project(folder, Project.open(folder).content)),
        lambda: load_split(training / "split.json", rule),
        lambda: trained_cells(training),
        lambda: load_job(training, default_palette()),
        lambda: show_results(training),
    ):
        try:
            step()
        except HemaCellsError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def show_results(training: Path) -> None:
    """Read the figures and what the report reads first."""
    results = read_results(training)
    results.confusion.pairs()
    results.highest_losses()
    results.most_certain(right=True)


class Small:
    """A training of a small network, which keeps what the real ones keep."""

    identity_key, refusal = "identity", "It is another training's."
    early_stopping: Any
    validates_first = False

    def __init__(self, folder: Path) -> None:
        self.checkpoint = folder / "checkpoint.pt"
        self.network = torch.nn.Linear(3, 2)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=0.1)
        self.early_stopping, self.curves = EarlyStopping(3), Curves()
        self.step = 0

    def identity(self) -> Any:
        """Of this training."""
        return {"steps": 3}

    def state(self) -> dict[str, Any]:
        """Tensors and plain values."""
        return {
            "identity": self.identity(), "seconds": 1.0, "step": self.step,
            "network": self.network.state_dict(), "optimiser": self.optimiser.state_dict(),
            "best": self.early_stopping.state(), "curves": self.curves.state(),
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on."""
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.early_stopping.restore(state["best"])
        self.curves.restore(state["curves"])


def make_checkpoint(folder: Path) -> None:
    """A checkpoint after some steps."""
    small = Small(folder)
    small.network(torch.ones(1, 3)).sum().backward()
    small.optimiser.step()
    save_checkpoint(small.checkpoint, small.state())


def change_state(rng: Any, data: bytes) -> bytes:
    """Another state in a checkpoint."""
    state = torch.load(io.BytesIO(data), weights_only=True)
    plain = {key: value for key, value in state.items() if key not in {"network", "optimiser"}}
    where = rng.choice(("network", "optimiser", "moments", "plain", "plain"))
    if where == "plain":
        plain = change.change_values(rng, json.loads(json.dumps(plain)))
        changed = state | plain if isinstance(plain, dict) and rng.random() < 0.5 else plain
    elif where == "network":
        key = rng.choice(list(state["network"]))
        state["network"][key] = rng.choice((torch.zeros(3), "x", None, torch.zeros(2, 2).half()))
        changed = state
    elif where == "moments":
        moments = state["optimiser"]["state"]
        kept = moments[rng.choice(list(moments))]
        kept[rng.choice(list(kept))] = rng.choice(
            (torch.zeros(7), torch.zeros(2, 2).long(), torch.tensor(float("nan")), "x", None, [])
        )
        changed = state
    else:
        values = rng.choice((None, [], {}, {"state": {}, "param_groups": []}, 3))
        changed = state | {"optimiser": values}
    stream = io.BytesIO()
    torch.save(changed, stream)
    return stream.getvalue()


def resume(folder: Path) -> None:
    """Go on from a checkpoint."""
    load_checkpoint(folder / "checkpoint.pt")
    Trainer(Small(folder))  # type: ignore[arg-type]


def make_outcome(folder: Path) -> None:
    """An adaptation that waits for an answer."""
    place = folder / "adapted/20260102-030405-000000"
    place.mkdir(parents=True)
    shutil.copy(OLD / "adapted.safetensors", place / "encoder.safetensors")
    outcome = {
        "encoder": "adapted:x", "kept": True, "sha256": "0" * 64, "base": "bundled",
        "leave_one_out_before": 0.8, "leave_one_out_after": 0.9, "crops": 100, "clicks": 20,
        "steps": 50, "seconds": 12.5, "losses": [3.0, 2.0], "notes": ["a"],
    }  # fmt: skip
    (place / "outcome.json").write_text(json.dumps(outcome))
    Project.create(folder, "Smear")


def read_outcome(folder: Path) -> None:
    """Read what came of it, and say it."""
    outcome = load_pending_outcome(Project.open(folder))
    if outcome is not None:
        outcome.format_summary()


def make_detector_training(folder: Path) -> None:
    """The material of a detector's training."""
    fields = folder / "fields"
    fields.mkdir()
    arrays: dict[str, Any] = {
        "pixels": COLOUR, "boxes": np.ones((2, 4), np.float32), "kinds": np.array([0, 1]),
        "sized": np.ones(2, bool), "foreground": np.ones((40, 60), np.uint8),
        "trust": np.ones((40, 60, 3), np.uint8), "name": "a", "key": KEY, "group": "g",
        "diameter": 40.0,
    }  # fmt: skip
    (fields / "00000.npz").write_bytes(npz(**arrays))
    (folder / "left_out.json").write_text('["a is damaged"]')


def read_detector_training(folder: Path) -> None:
    """Read it."""
    load_fields(folder / "fields")
    read_left_out(folder)


def make_adaptation(folder: Path) -> None:
    """The material of a self-supervised training."""
    crops = RNG.integers(0, 256, (32, 8, 8, 3), dtype=np.uint8)
    clicks = LabelledCrops(crops[:4], ("a", "a", "b", "b"))
    write_training_set(folder / "x", AdaptTrainingSet(crops, clicks, ("i",)))


class SmallPlan:
    """The plan of a detection, as its checkpoint knows it."""

    image_key, parts = KEY, (1,)

    def digest(self) -> str:
        """Of this plan."""
        return "d" * 16


@dataclass(frozen=True)
class SmallPart:
    """A part."""

    index: int = 0


def make_detection(folder: Path) -> None:
    """A detection of which one part is done."""
    cells = saved_cells()
    boxes = cells.table[["min_row", "min_col", "max_row", "max_col"]].to_numpy()
    masks = PackedMasks.of_labels(LABELS, cells.ids.tolist(), boxes)
    checkpoint = DetectionCheckpoint(folder / "d", SmallPlan())  # type: ignore[arg-type]
    checkpoint.write(SmallPart(), PartCells(0, cells.table, masks))  # type: ignore[arg-type]


def resume_detection(folder: Path) -> None:
    """Go on with it."""
    checkpoint = DetectionCheckpoint(folder / "d", SmallPlan())  # type: ignore[arg-type]
    part = checkpoint.read(SmallPart())  # type: ignore[arg-type]
    if part is not None:
        list(part.masks)


def use_adapted(file: Path) -> None:
    """Read the header and the weights of an adapted encoder."""
    read_header(file)
    read_tensors(file)


def weights() -> bytes:
    """Weights of PyTorch."""
    stream = io.BytesIO()
    torch.save({"state_dict": torch.nn.Linear(3, 2).state_dict(), "epoch": 3}, stream)
    return stream.getvalue()


def detector(file: Path) -> None:
    """Load a detector."""
    read_training_data(file)
    load_model(file).limits.with_sensitivity(0.6)


def own_kinds() -> list[Kind]:
    """All of them."""
    lines, values, zipped = change.change_lines, change.change_json, change.change_zip
    project = (("project.json", BYTES), ("project.json", change.change_project))
    model = "model/model.safetensors"
    return [
        Kind("project.json", make_project, open_project, project, 0.7),
        Kind("journal.jsonl", make_project, open_project,
             (("journal.jsonl", change.change_journal), ("journal.jsonl", change.change_journal),
              ("journal.jsonl", BYTES)), 1.5),
        Kind("project's cells", make_cells, load_cells,
             (("*.tif", BYTES), ("*.tif", change.change_tiff), ("*.tif", change_cells))),
        Kind("project's masks", make_masks, load_masks,
             (("*.npz", BYTES), ("*.npz", zipped), ("*.npz", change_masks))),
        Kind("embedding cache", make_cache, load_cache,
             (("*", BYTES), ("*", change.change_safetensors), ("*", unseal_cache))),
        Kind("bundle.json", make_bundle, open_bundle,
             (("model/bundle.json", BYTES), ("model/bundle.json", change_bundle),
              ("model/bundle.json", change_bundle)), 1.5),
        Kind("model.safetensors", make_bundle, open_bundle,
             ((model, BYTES), (model, change.change_safetensors), (model, change.change_tensors))),
        Kind("fine-tuned bundle.json",
             copy_model,
             open_bundle, (("model/bundle.json", change_bundle), (model, change.change_tensors),
                           (model, change.change_tensors)), 0.3),
        Kind("figures, run, job, split", make_training, read_training,
             ((f"{TRAINING}/*.json", values), (f"{TRAINING}/*.csv", lines),
              (f"{TRAINING}/*.*", BYTES)), 1.5),
        Kind("resume checkpoint", make_checkpoint, resume,
             (("*.pt", BYTES), ("*.pt", zipped), ("*.pt", change_state))),
        of_file("adapted encoder", "a.safetensors", (OLD / "adapted.safetensors").read_bytes,
                use_adapted, change.change_safetensors, change.change_tensors,
                change.change_tensors),
        Kind("adaptation's outcome", make_outcome, read_outcome,
             (("adapted/*/outcome.json", values), ("adapted/*/outcome.json", BYTES))),
        Kind("adaptation's crops", make_adaptation, lambda folder: read_training_set(folder / "x"),
             (("x/*.npz", BYTES), ("x/*.npz", zipped))),
        Kind("detector's fields", make_detector_training, read_detector_training,
             (("fields/*.npz", BYTES), ("fields/*.npz", zipped), ("left_out.json", values),
              ("left_out.json", BYTES))),
        Kind("detection checkpoint", make_detection, resume_detection,
             (("d/*.npz", BYTES), ("d/*.npz", zipped), ("d/*.json", values))),
        of_file("weights, PyTorch", "a.pt", weights, read_tensors, zipped),
        Kind("detector weights", lambda folder: shutil.copy(DETECTOR, folder / "a.safetensors"),
             lambda folder: detector(folder / "a.safetensors"),
             (("*", BYTES), ("*", change.change_safetensors), ("*", change.change_tensors),
              ("*", change.change_tensors)), 0.3),
    ]  # fmt: skip
