"""The table to download, made of the answers that the page holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from napari_hemacells.core.files.text_tables import frame_csv_bytes
from napari_hemacells.core.store.joint_table import ImageRows, JointTable, join_tables, model_notes
from napari_hemacells.core.store.workbook import workbook_bytes
from napari_hemacells.serve.limits import MAX_NAME

if TYPE_CHECKING:
    from napari_hemacells.core.store import Bundle

TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class Answer(BaseModel):
    """What the page holds of one picture."""

    model_config = ConfigDict(extra="forbid")

    image: str = Field(max_length=MAX_NAME + 20)
    shown: str = Field(max_length=MAX_NAME)
    nearest: str = Field(max_length=MAX_NAME)
    confidence: float | None = Field(ge=0, le=1, allow_inf_nan=False)
    unknown: float | None = Field(allow_inf_nan=False)
    is_unknown: bool
    group: str = Field(max_length=MAX_NAME)
    chances: dict[str, float | None] = Field(max_length=1000)


class TableRequest(BaseModel):
    """The answers of one model, and the kind of file."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(max_length=40)
    kind: Literal["csv", "xlsx"]
    answers: list[Answer] = Field(min_length=1, max_length=500)


def make_table(request: TableRequest, bundle: Bundle) -> bytes:
    """Return the file: the columns and sheets of ``hemacells classify``."""
    joint = _join(request, bundle)
    return workbook_bytes(joint) if request.kind == "xlsx" else frame_csv_bytes(joint.frame)


def _join(request: TableRequest, bundle: Bundle) -> JointTable:
    names = [cell_class.name for cell_class in bundle.palette]
    taken: dict[str, int] = {}
    parts = []
    for answer in request.answers:
        taken[answer.image] = taken.get(answer.image, 0) + 1
        number = taken[answer.image]
        label = answer.image if number == 1 else f"{answer.image} ({number})"
        row = {
            "label": 1,
            "class": answer.shown,
            "confidence": answer.confidence,
            "unknown": answer.unknown,
            "is_unknown": answer.is_unknown,
            "predicted": answer.nearest,
            **{f"p_{name}": answer.chances[name] for name in names if name in answer.chances},
        }
        parts.append(ImageRows(label, pd.DataFrame([row]), answer.group, answer.image))
    counts = {
        cell_class.name: bundle.training_counts[cell_class.id] for cell_class in bundle.palette
    }
    notes = model_notes(bundle.name, counts, bundle.encoder.seen)
    return join_tables(parts, names, notes, bundle.palette.kind_names)
