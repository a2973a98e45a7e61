"""Disk cache of embeddings: no cell is embedded twice."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.detect.learned.metadata import first_vectors_info
from napari_hemacells.core.encode.protocol import fingerprint
from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.files.fsio import write_bytes
from napari_hemacells.core.files.safe_files import open_stream
from napari_hemacells.core.types import CropSpec, Embeddings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.types import Cells, EncoderInfo


class EmbeddingCache:
    """A folder with one safetensors file for each image, encoder and crop specification.

    A vector depends only on the image, the encoder, the crop and the cell's box. The first three
    name the file, which holds box and vector of each cell. After a correction only cells with a
    new box are embedded again. For pictures of single cells a file hash replaces the box.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def path(self, image_key: str, encoder: EncoderInfo, spec: CropSpec) -> Path:
        """Path of the vectors of an image, encoder and crop specification."""
        identity = json.dumps([fingerprint(encoder), spec.to_dict()], sort_keys=True)
        digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        return self.folder / f"{image_key}-{digest}.safetensors"

    def load(
        self, image_key: str, encoder: EncoderInfo, spec: CropSpec, boxes: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """``(n, dim)`` vectors of the cells with these boxes, and ``(n,)`` which were known.

        With a missing, damaged or foreign file none is known.
        """
        stored = self._read(self.path(image_key, encoder, spec), encoder.dim)
        if stored is not None and np.array_equal(stored[0], boxes):  # as saved: without a copy
            return stored[1], np.ones(len(boxes), dtype=np.bool_)
        vectors = np.zeros((len(boxes), encoder.dim), dtype=np.float32)
        known = np.zeros(len(boxes), dtype=np.bool_)
        if stored is None:
            return vectors, known
        place_of = {box: index for index, box in enumerate(map(tuple, stored[0].tolist()))}
        places = np.array([place_of.get(tuple(box), -1) for box in boxes.tolist()], dtype=np.intp)
        known = places >= 0
        vectors[known] = stored[1][places[known]]
        return vectors, known

    def save(
        self,
        image_key: str,
        encoder: EncoderInfo,
        spec: CropSpec,
        boxes: NDArray[np.int64],
        vectors: NDArray[np.float32],
    ) -> None:
        """Replace the file by these cells, atomically.

        Raises
        ------
        StorageError
            If the folder cannot be written; the old file is unchanged.
        """
        from safetensors.numpy import save

        tensors: dict[str, NDArray[Any]]
        tensors = {"boxes": np.ascontiguousarray(boxes), "vectors": np.ascontiguousarray(vectors)}
        tensors["sha256"] = _checksum(tensors["boxes"], tensors["vectors"])
        about = {"encoder": encoder.name, "sha256": encoder.sha256, "spec": str(spec.to_dict())}
        target = self.path(image_key, encoder, spec)
        try:
            write_bytes(target, save(tensors, metadata=about))
        except StorageError as error:
            raise StorageError(
                f"Embeddings cannot be kept in {self.folder} and will be computed again next "
                f"time. {error}"
            ) from error

    def load_first(self, image_key: str, cells: Cells) -> Embeddings | None:
        """Return the vectors that the detector made of these cells; ``None`` where it made none.

        A cell that was made by hand, or whose box was changed, has none.
        """
        info, spec = first_vectors_info(), CropSpec()
        vectors, known = self.load(image_key, info, spec, cells.boxes)
        if not known.any():
            return None
        kinds = None if cells.kinds is None else cells.kinds[known]
        return Embeddings(cells.ids[known], vectors[known], info, spec, image_key, kinds=kinds)

    def save_first(self, image_key: str, cells: Cells) -> None:
        """Keep the vectors that the detector has just made of these cells, if it made any.

        Raises
        ------
        StorageError
            If the folder cannot be written.
        """
        first = cells.first_vectors
        if first is not None:
            self.save(image_key, first.encoder, first.spec, cells.boxes, first.vectors)

    @staticmethod
    def _read(file: Path, dim: int) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            with open_stream(file) as stream:
                tensors = load(stream.read())
            boxes, vectors = tensors["boxes"], tensors["vectors"]
        except (OSError, StorageError, SafetensorError, KeyError, ValueError, TypeError):
            return None
        checksum = tensors.get("sha256")
        if checksum is not None and not np.array_equal(checksum, _checksum(boxes, vectors)):
            return None
        fits = boxes.shape == (len(vectors), 4) and vectors.shape == (len(boxes), dim)
        return (boxes, vectors) if fits and np.isfinite(vectors).all() else None


def _checksum(boxes: NDArray[Any], vectors: NDArray[Any]) -> NDArray[np.uint8]:
    digest = hashlib.sha256()
    for values in (boxes, vectors):
        digest.update(f"{values.dtype.str}{values.shape} ".encode())
        digest.update(np.ascontiguousarray(values).data)
    return np.frombuffer(digest.digest(), dtype=np.uint8)
