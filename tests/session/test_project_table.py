"""The table of all images of a project: annotated, predicted, not yet classified."""

from __future__ import annotations

import numpy as np
import pytest

from made_up import INFO, SPEC, make_cells, make_embeddings, make_image
from napari_hemacells.core.encode import EmbeddingCache
from napari_hemacells.core.types.progress import run_to_end
from napari_hemacells.session import run_classification
from napari_hemacells.session.project_table import project_table_steps, request_project_table


@pytest.fixture
def two_images(session):
    """Cells of a first image annotated and classified, then a second one on the screen."""
    project, first = session.project, session.image
    cache = EmbeddingCache(project.embeddings_folder)
    vectors = make_embeddings(first, session.cells).vectors
    cache.save(first.key, INFO, SPEC, session.cells.boxes, vectors)
    for column, class_id in enumerate(session.palette.ids):
        session.annotate([c for c in range(1, 10) if c % 3 == column], class_id)
    second = make_image(8, name="smear")
    session.show_image(second)
    session.set_cells(make_cells(12))
    session.set_embeddings(make_embeddings(second, session.cells, seed=5))
    assert session.accept(run_classification(session.request()))
    return session


def make_table(session):
    return run_to_end(project_table_steps(request_project_table(session)))


def test_all_images_are_in_it_classified_alike(two_images):
    joint = make_table(two_images)
    frame = joint.frame
    assert joint.images == {"smear": "", "smear (2)": ""}
    assert frame["image"].value_counts().to_dict() == {"smear": 30, "smear (2)": 12}
    first = frame[frame["image"] == "smear"]
    assert (first["annotated"] != "").sum() == 9
    assert (first["predicted"] != "").all()
    names = [one.name for one in two_images.palette]
    mine = first[first["annotated"] != ""]
    assert mine["class"].tolist() == mine["annotated"].tolist()
    here = joint.by_image()["smear (2)"]
    shown = {one.name: one.cells for one in here.classes}
    counted = two_images.counts()
    assert [shown[name] for name in names] == [sum(counted[key]) for key in two_images.palette.ids]
    assert here.unknown == sum(counted.get("(unknown)", (0, 0)))
    assert "not classified yet" not in " ".join(joint.notes)
    assert "learned from: RBC 3, WBC 3, Platelets 3." in joint.notes[0]


def test_an_image_without_embeddings_is_said(two_images):
    for file in two_images.project.embeddings_folder.iterdir():
        file.unlink()
    joint = make_table(two_images)
    first = joint.frame[joint.frame["image"] == "smear"]
    assert (first["predicted"] == "").all()
    assert np.isnan(first["confidence"]).all()
    assert (first["annotated"] != "").sum() == 9
    assert joint.notes[-1].startswith("1 image was not classified yet")


def test_before_any_classification_nothing_is_claimed(session):
    joint = make_table(session)
    assert joint.frame["class"].tolist() == ["RBC"] * 30
    assert joint.notes == ("No model took part: classes are a person's or the detector's.",)


def test_without_cells_there_is_nothing_to_ask(new_session):
    assert request_project_table(new_session()) is None
