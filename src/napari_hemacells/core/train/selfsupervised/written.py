"""An adapted encoder's file. Imports torch."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from napari_hemacells.core.annotate.state import now
from napari_hemacells.core.encode.adapted import AdaptedHeader
from napari_hemacells.core.store.atomic import writing

if TYPE_CHECKING:
    from napari_hemacells.core.train.selfsupervised.course import Course


def write_encoder(course: Course) -> str:
    """Write the weights that changed with their header; return the file's SHA-256.

    Raises
    ------
    StorageError
        The file cannot be written; one that was there before stays.
    """
    from safetensors.torch import save

    job, material = course.job, course.material
    header = AdaptedHeader(
        base=job.base,
        base_sha256=course.base.info.sha256,
        images=material.images,
        crops=len(material.crops),
        date=now(),
        training={
            **job.params.model_dump(mode="json", exclude={"device"}),
            "steps": course.steps,
            "leave_one_out": [course.before, course.after],
        },
    )
    changed = {name: value.contiguous() for name, value in course.learner.changed().items()}
    content = save(changed, metadata=header.to_metadata())
    with writing(job.out) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()
