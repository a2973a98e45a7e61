"""The one table of all images that a command classified, and its counts in words and as JSON."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_hemacells.cli.console import Reporter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.cli.image_job import Record
    from napari_hemacells.core.store import Bundle
    from napari_hemacells.core.store.joint_table import ImageRows, JointTable


def write_joint_results(
    records: "Sequence[Record]",
    bundle: "Bundle",
    out: Path,
    reporter: Reporter,
    *,
    folders_are_groups: bool = False,
) -> dict[str, Any]:
    """Write ``cells.csv`` and ``cells.xlsx`` of all images, print the counts, return the JSON.

    Parameters
    ----------
    records
        Of the images that worked, in their order.
    folders_are_groups
        Whether the name of an image's folder is its group.

    Raises
    ------
    StorageError
        A table cannot be read or written.
    """
    from napari_hemacells.core.store.joint_table import join_tables

    if not records:
        return {}
    names = [one.name for one in bundle.palette]
    parts = _parts(records, folders_are_groups=folders_are_groups)
    joint = join_tables(parts, names, bundle_notes(bundle), bundle.palette.kind_names)
    return save_joint_table(joint, out, reporter)


def bundle_notes(bundle: "Bundle") -> tuple[str, ...]:
    """Return the sentences of the summary about a model and what it has seen."""
    from napari_hemacells.core.store.joint_table import model_notes

    names = {one.id: one.name for one in bundle.palette}
    learned = {names[key]: count for key, count in bundle.training_counts.items()}
    return model_notes(bundle.name, learned, bundle.encoder.seen)


def save_joint_table(joint: "JointTable", out: Path, reporter: Reporter) -> dict[str, Any]:
    """Write a joint table, print its counts, return them with the paths as JSON.

    Raises
    ------
    StorageError
        A table cannot be written.
    """
    from napari_hemacells.core.store.class_counts import counts_sentence, differential_sentence
    from napari_hemacells.core.store.workbook import write_joint_table

    csv, workbook = write_joint_table(out, joint)
    total = joint.total
    what = "1 image" if len(joint.images) == 1 else f"All {len(joint.images):,} images"
    reporter.tell(f"{what}: {counts_sentence(total)} → {csv}, {workbook.name}")
    if sentence := differential_sentence(total):
        reporter.tell(sentence)
    groups = {name: counts.to_dict() for name, counts in joint.by_group().items()}
    return {
        "table": str(csv),
        "workbook": str(workbook),
        "summary": {**total.to_dict(), **({"groups": groups} if groups else {})},
    }


class NamedImage(NamedTuple):
    """What an image is called in the results of all images, and what its cells belong to."""

    label: str
    group: str


def image_names(records: "Sequence[Record]", *, folders_are_groups: bool) -> list[NamedImage]:
    """Return the names of images, no two alike, and their groups."""
    from napari_hemacells.core.store.joint_table import image_labels

    paths = [Path(record["image"]).absolute() for record in records]
    folders = sorted({path.parent for path in paths})
    group_of = dict(zip(folders, image_labels(folders), strict=True))
    return [
        NamedImage(label, group_of[path.parent] if folders_are_groups else record.get("group", ""))
        for record, path, label in zip(records, paths, image_labels(paths), strict=True)
    ]


def _parts(records: "Sequence[Record]", *, folders_are_groups: bool) -> "list[ImageRows]":
    from napari_hemacells.core.store.joint_table import ImageRows, read_rows

    names = image_names(records, folders_are_groups=folders_are_groups)
    return [
        ImageRows(name.label, read_rows(Path(record["csv"])), name.group, str(record["image"]))
        for record, name in zip(records, names, strict=True)
    ]
