"""Files of version 0.1.0 are read as that version read them, and written in the same form."""

from __future__ import annotations

import codecs
import json
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_hemacells.core.annotate import Annotation, from_record, read_journal, to_record
from napari_hemacells.core.encode import EmbeddingCache, embed_steps, load_encoder
from napari_hemacells.core.encode.adapted import read_header
from napari_hemacells.core.encode.finetuned import NetworkPlan, finetuned_encoder
from napari_hemacells.core.encode.finetuned.network import Embedder
from napari_hemacells.core.image import read_image
from napari_hemacells.core.store import (
    ClassifiedImage,
    Project,
    annotation_state,
    cells_table,
    check_compatible,
    corrected_cells,
    counts_table,
    load_bundle,
    save_bundle,
    shown_classes,
    write_coco,
    write_csv,
    write_labels_tif,
)
from napari_hemacells.core.train.classifier.model_store import (
    list_models,
    load_job,
    trained_cells,
)
from napari_hemacells.core.train.classifier.results import read_results
from napari_hemacells.core.types import CropSpec, EncoderInfo
from napari_hemacells.core.types.progress import run_to_end
from napari_hemacells.session import Session, run_classification

if TYPE_CHECKING:
    from napari_hemacells.core.store import Bundle
    from napari_hemacells.core.types import Cells, Embeddings, Prediction, SmearImage

OLD = Path(__file__).parent / "fixtures" / "v0.1"
EXPECTED: dict[str, Any] = json.loads((OLD / "expected.json").read_text(encoding="utf-8"))
KEY = EXPECTED["project"]["image"]["key"]
TRAINING = OLD / "project" / EXPECTED["project"]["settings"]["classifier"]
BUNDLES = {"few-shot": OLD / "few-shot", "few-shot-of-crops": OLD / "few-shot-of-crops",
           "fine-tuned": TRAINING / "model"}  # fmt: skip
SURE = 1e-4  # processors differ in the last digits


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A copy of the old project with its image beside it, as after a move."""
    shutil.copytree(OLD / "project", tmp_path / "project")
    shutil.copyfile(OLD / "smear.png", tmp_path / "smear.png")
    return Project.open(tmp_path / "project")


@pytest.fixture
def image(project: Project) -> SmearImage:
    return read_image(project.locate(KEY))


@pytest.fixture
def session(project: Project, image: SmearImage):
    session = Session("anna")
    session.use_project(project)
    session.show_image(image)
    yield session
    session.close()


# --- projects ------------------------------------------------------------------------------------


def test_an_old_project_opens_with_its_image_and_settings(
    project: Project, tmp_path: Path
) -> None:
    expected, settings = EXPECTED["project"], EXPECTED["project"]["settings"]
    stored = project.image(KEY)
    content = project.content
    assert project.name == expected["name"]
    assert (stored.name, list(stored.shape)) == (
        expected["image"]["name"],
        expected["image"]["shape"],
    )
    assert project.locate(KEY) == tmp_path / "smear.png"
    assert content.encoder.sha256 == settings["encoder"]
    assert content.encoder_name == settings["encoder_name"]
    assert content.crop.to_dict() == settings["crop"]
    assert project.classifier == project.folder / settings["classifier"]


def test_classes_annotations_and_corrections_are_what_they_were(project: Project) -> None:
    expected, state = EXPECTED["project"], annotation_state(project)
    palette = [[one.id, one.name, one.colour, one.key] for one in state.palette]
    names = {one.id: one.name for one in state.palette}
    said = {
        annotator: {str(ref.cell): names[one.class_id] for ref, one in labels.items()}
        for annotator, labels in state.by_annotator.items()
    }
    corrections = state.corrections_of(KEY).items()
    assert palette == expected["palette"]
    assert said == expected["annotations"]
    assert {str(cell): one.status for cell, one in corrections} == expected["corrections"]


def test_every_record_is_written_as_it_was(project: Project) -> None:
    records = list(read_journal(project.journal_path))
    assert len(records) == EXPECTED["project"]["record_count"]
    assert {one["kind"]: sorted(one) for one in records} == EXPECTED["project"]["records"]
    for one in records:
        assert to_record(from_record(one)) == one


def test_cells_as_detected_and_as_corrected(project: Project) -> None:
    expected = EXPECTED["project"]
    assert described(project.load_cells(KEY)) == expected["detected"]
    assert described(corrected_cells(project, KEY)) == expected["corrected"]


def described(cells: Cells) -> dict[str, Any]:
    """What the expectations say of cells."""
    table = cells.table
    ids = [str(cell) for cell in table["label"]]
    labels = np.ascontiguousarray(np.asarray(cells.labels), dtype="<i4")
    found = {
        "count": len(cells),
        "columns": list(table),
        "source": cells.source,
        "diameter": round(cells.diameter, 6),
        "kinds": dict(zip(ids, table["class"], strict=True)),
        "areas": dict(zip(ids, table["area"].tolist(), strict=True)),
        "labels_sha256": sha256(labels.tobytes()).hexdigest(),
    }
    if "origin" in table:
        origins = zip(ids, table["origin"], strict=True)
        found["by_hand"] = {cell: one for cell, one in origins if one != "detected"}
    return found


def test_an_old_project_is_saved_byte_by_byte_as_it_was(project: Project) -> None:
    project.update(name=project.name)
    project.save_cells(KEY, project.load_cells(KEY))
    cells = f"cells/{KEY}"
    for name in ("project.json", f"{cells}.cells.csv", "journal.jsonl"):
        now = (project.folder / name).read_bytes().removeprefix(codecs.BOM_UTF8)  # for Excel
        assert now == (OLD / "project" / name).read_bytes()
    new, old = (folder / f"{cells}.labels.tif" for folder in (project.folder, OLD / "project"))
    with tifffile.TiffFile(new) as one, tifffile.TiffFile(old) as other:
        assert one.pages.first.description == other.pages.first.description
        assert np.array_equal(one.asarray(), other.asarray())


def test_an_old_project_gets_a_checksum_with_its_first_change(project: Project) -> None:
    project.update(name="Another name")
    stored, old = (
        json.loads((folder / "project.json").read_text(encoding="utf-8"))
        for folder in (project.folder, OLD / "project")
    )
    assert len(stored.pop("checksum")) == 64
    assert stored == old | {"name": "Another name", "schema_version": 2, "journal": True}


def test_the_next_click_is_a_line_like_those_before(session: Session) -> None:
    journal = session.project.journal_path
    before = journal.read_bytes()
    assert before == (OLD / "project" / "journal.jsonl").read_bytes()
    cell = int(session.cells.ids[0])
    session.annotate([cell], "rbc")
    line = journal.read_bytes().removeprefix(before)
    told = json.loads(line)
    assert list(told) == ["crc", "n", "record"]
    assert told["n"] == EXPECTED["project"]["record_count"] + 1
    assert list(told["record"]) == ["cells", "class_id", "annotator", "when", "kind"]
    ref, row, col = told["record"]["cells"][0]
    assert ref == [KEY, cell]
    assert [row, col] == session.cells.centres[0].tolist()
    said = session.annotations[cell]
    assert said == Annotation("rbc", row, col, "anna", told["record"]["when"])


# --- what the clicks and the models say ----------------------------------------------------------


def assert_said(prediction: Prediction, names: dict[str, str], expected: dict[str, Any]) -> None:
    """Each cell has the class, the confidence and the distance that it had."""
    told = expected["cells"]
    assert prediction.head == expected["head"]
    assert [str(cell) for cell in prediction.ids] == list(told)
    winners = [names[prediction.class_ids[column]] for column in prediction.predicted_column]
    assert winners == [row[0] for row in told.values()]
    assert prediction.confidence == pytest.approx([row[1] for row in told.values()], abs=SURE)
    if prediction.unknown is None:
        assert {len(row) for row in told.values()} == {2}
        return
    assert prediction.unknown == pytest.approx([row[2] for row in told.values()], abs=1e-3)
    assert prediction.is_unknown.tolist() == [row[3] for row in told.values()]


def vectors_of(bundle: Bundle, image: SmearImage, cells: Cells) -> Embeddings:
    by = bundle.make_encoder("cpu")
    check_compatible(bundle, by.info, bundle.spec, cells.diameter)
    return run_to_end(embed_steps(image, cells, bundle.spec, by, like=bundle.encoder))


@pytest.mark.slow
def test_old_clicks_classify_and_are_exported_as_they_were(
    session: Session, tmp_path: Path
) -> None:
    image, cells, palette = session.image, session.cells, session.palette
    by = load_encoder("bundled", "cpu")
    spec = session.project.content.crop
    vectors = run_to_end(embed_steps(image, cells, spec, by))
    # By looks alone, as before; what the detector saw is a prior since then.
    session.set_embeddings(replace(vectors, kinds=None))
    assert session.accept(run_classification(session.request()))
    prediction = session.prediction
    assert_said(prediction, {one.id: one.name for one in palette}, EXPECTED["clicks"])
    table = cells_table(image, cells, session.annotations, prediction, palette)
    shown = shown_classes(cells, session.annotations, prediction, palette)
    write_csv(tmp_path / "cells.csv", table)
    counts = counts_table(table, palette).drop(columns="detected")  # since then
    write_csv(tmp_path / "counts.csv", counts)
    write_coco(tmp_path / "cells.coco.json", [ClassifiedImage(image, cells, shown)], palette)
    write_labels_tif(tmp_path / "cells.labels.tif", cells)
    assert_exported(tmp_path)
    session.set_embeddings(vectors)
    assert session.accept(run_classification(session.request()))
    with_kinds = session.prediction
    assert with_kinds.class_ids == prediction.class_ids
    assert with_kinds.predicted_column.tolist() == prediction.predicted_column.tolist()


def assert_exported(folder: Path) -> None:
    """The exported files are those of before, numbers but for their last digits."""
    old = OLD / "exported"
    new_table, old_table = (pd.read_csv(one / "cells.csv") for one in (folder, old))
    pd.testing.assert_frame_equal(new_table, old_table, check_exact=False, rtol=1e-3, atol=1e-3)
    counts = "counts.csv"
    new_counts = (folder / counts).read_bytes().removeprefix(codecs.BOM_UTF8)  # for Excel
    assert new_counts == (old / counts).read_bytes()
    new_coco, old_coco = (
        json.loads((one / "cells.coco.json").read_bytes()) for one in (folder, old)
    )
    assert new_coco.pop("info").keys() == old_coco.pop("info").keys()
    assert new_coco == old_coco
    labels = "cells.labels.tif"
    assert np.array_equal(tifffile.imread(folder / labels), tifffile.imread(old / labels))


@pytest.mark.slow
@pytest.mark.parametrize("name", BUNDLES)
def test_an_old_model_says_what_it_said(name: str, project: Project, image: SmearImage) -> None:
    expected, bundle = EXPECTED[name], load_bundle(BUNDLES[name])
    about = bundle.encoder
    assert bundle.name == expected["name"]
    assert [[one.id, one.name, one.colour, one.key] for one in bundle.palette] == (
        expected["classes"]
    )
    assert bundle.training_counts == expected["counts"]
    assert {"name": about.name, "sha256": about.sha256, "dim": about.dim} == expected["encoder"]
    assert bundle.spec.to_dict() == expected["spec"]
    found = vectors_of(bundle, image, corrected_cells(project, KEY))
    names = {one.id: one.name for one in bundle.palette}
    assert_said(bundle.head.predict(found), names, expected)


@pytest.mark.parametrize("name", BUNDLES)
def test_an_old_model_is_saved_as_it_was_with_a_hash(name: str, tmp_path: Path) -> None:
    again = save_bundle(tmp_path / "again", load_bundle(BUNDLES[name]))
    new, old = (folder / "model.safetensors" for folder in (again, BUNDLES[name]))
    assert new.read_bytes() == old.read_bytes()
    new, old = (folder / "bundle.json" for folder in (again, BUNDLES[name]))
    lines = new.read_text().splitlines()
    assert [line for line in lines if "content_sha256" in line] == lines[-2:-1]  # version 2 has it
    content = json.loads(new.read_text())
    assert len(content.pop("content_sha256")) == 64
    assert list(content.items()) == list((json.loads(old.read_text()) | {"version": 2}).items())


# --- the project's fine-tuned model --------------------------------------------------------------


def test_an_old_training_is_found_and_read(project: Project) -> None:
    (model,) = list_models(project)
    findings = read_results(model.folder)
    assert model.folder == project.classifier
    assert (model.recipe, model.cells) == ("quick", len(EXPECTED["taught"]))
    assert model.accuracy == findings.figures.accuracy.value
    assert findings.run["recipe"]["arch"] == "test_efficientnet"
    checked = {
        (name, cell) for cell, (name, part) in EXPECTED["taught"].items() if part != "train"
    }
    assert {one.name for one in findings.items} == {
        f"{name}/{KEY}-{cell}.png" for name, cell in checked
    }
    told = {str(ref.cell): list(one) for ref, one in trained_cells(model.folder).items()}
    assert told == EXPECTED["taught"]
    job = load_job(model.folder, annotation_state(project).palette)
    kept, stored = job.recipe.model_dump(mode="json"), findings.run["recipe"]
    assert {name: kept[name] for name in stored} == stored
    later = job.recipe.model_copy(update=stored).model_dump(exclude=set(stored))
    assert later == type(job.recipe)().model_dump(exclude=set(stored))  # parameters since then
    assert job.spec.to_dict() == EXPECTED["fine-tuned"]["spec"]


@pytest.mark.slow
def test_a_session_goes_on_with_the_fine_tuned_model_and_its_cached_vectors(
    session: Session,
) -> None:
    project, image, cells = session.project, session.image, session.cells
    bundle = load_bundle(project.classifier / "model")
    session.adopt_model(bundle, session.class_of_cell())
    cache = EmbeddingCache(project.embeddings_folder)
    vectors, known = cache.load(KEY, bundle.encoder, bundle.spec, cells.boxes)
    assert known.all()
    again = vectors_of(bundle, image, cells)
    assert again.vectors == pytest.approx(vectors, abs=1e-3)
    session.set_embeddings(replace(again, vectors=vectors))
    assert session.accept(run_classification(session.request()))
    names = {one.id: one.name for one in session.palette}
    assert_said(session.prediction, names, EXPECTED["fine-tuned"])


def test_cached_vectors_have_the_names_that_they_had(project: Project) -> None:
    bundle = load_bundle(project.classifier / "model")
    by, spec = project.content.encoder, CropSpec()
    cache = EmbeddingCache(project.embeddings_folder)
    assert cache.path(KEY, by, spec).name == EXPECTED["cache_of_bundled"]
    assert [cache.path(KEY, bundle.encoder, bundle.spec).name] == EXPECTED["cached"]


# --- encoders and networks -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bundled", "adapted"])
def test_an_encoder_has_the_identity_and_the_vectors_that_it_had(name: str) -> None:
    expected = EXPECTED[name]
    by = load_encoder(
        f"adapted:{OLD / 'adapted.safetensors'}" if name == "adapted" else name, "cpu"
    )
    assert (by.info.name, by.info.sha256, by.info.dim) == (
        expected["name"],
        expected["sha256"],
        expected["dim"],
    )
    vector = by.encode(pattern(128)[np.newaxis])[0]
    assert vector[:: by.info.dim // 16] == pytest.approx(expected["vector"], rel=1e-3, abs=1e-3)


def test_the_header_of_an_adapted_encoder() -> None:
    header = read_header(OLD / "adapted.safetensors")
    assert (header.base, header.images, header.crops) == ("bundled", (KEY,), 40)
    assert header.base_sha256 == EXPECTED["bundled"]["sha256"]
    assert header.training["leave_one_out"] == [0.8, 0.9]


@pytest.mark.slow
@pytest.mark.parametrize("expected", EXPECTED["networks"], ids=lambda one: one["plan"]["arch"])
def test_the_weights_of_every_kind_of_network_have_the_names_that_they_had(
    expected: dict[str, Any],
) -> None:
    plan = NetworkPlan.from_dict(expected["plan"])
    assert plan.to_dict() == expected["plan"]
    state = Embedder(plan).state_dict()
    names = sha256("\n".join(sorted(state)).encode()).hexdigest()
    assert names == expected["names_sha256"], list(state)[-3:]
    about = {"mean": list(plan.mean), "std": list(plan.std), "network": plan.to_dict()}
    info = EncoderInfo("drawn", "0" * 64, expected["dim"], about)
    tensors = {name: drawn(name, tuple(one.shape)) for name, one in state.items()}
    vector = finetuned_encoder(info, tensors, "cpu").encode(pattern(plan.size)[np.newaxis])[0]
    kept_numbers = vector[:: max(1, expected["dim"] // 16)]
    assert kept_numbers == pytest.approx(expected["vector"], rel=1e-3, abs=1e-3)


def pattern(side: int) -> np.ndarray:
    """``(side, side, 3)`` uint8: a picture that needs no file."""
    rows, cols = np.indices((side, side)) / side
    waves = [np.sin(9 * rows + phase) * np.cos(7 * cols - phase) for phase in (0.0, 1.0, 2.0)]
    return np.stack([(127 + 120 * one).astype(np.uint8) for one in waves], axis=-1)


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights that depend on the tensor's name and shape only."""
    if name.endswith("num_batches_tracked"):
        return np.array(1, dtype=np.int64)
    seed = int.from_bytes(sha256(name.encode()).digest()[:4], "big")
    values = np.random.default_rng(seed).standard_normal(shape)
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        return (0.8 + 0.1 * np.abs(values)).astype(np.float32)
    fan = int(np.prod(shape[1:])) if len(shape) > 1 else 100
    return (values / np.sqrt(fan)).astype(np.float32)
