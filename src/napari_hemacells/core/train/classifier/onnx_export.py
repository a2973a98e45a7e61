"""A model bundle as one ONNX file, whose answers are compared with PyTorch's. Imports torch."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_hemacells.core.encode.network import NetworkEncoder
from napari_hemacells.core.errors import BundleError, TrainingError
from napari_hemacells.core.files.fsio import write_bytes
from napari_hemacells.core.train.classifier.bundle_module import BundleModule

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.core.store import Bundle

OPSET = 18
LARGEST_DIFFERENCE = 1e-4
N_TEST_CROPS = 3  # pictures that both are asked about


def export_onnx(bundle: Bundle, file: Path) -> float:
    """Write the model and return the largest difference of its probabilities from PyTorch's.

    Input ``pictures``: ``(n, 3, size, size)`` float32, RGB, 0 to 255. Output ``probabilities``:
    ``(n, classes)``. Names of the classes and the size are in the file's metadata.

    Raises
    ------
    TrainingError
        onnx or onnxruntime is not installed, or its answers are not PyTorch's.
    BundleError
        The bundle's head is not linear.
    """
    onnx, runtime = _libraries()
    encoder = bundle.make_encoder("cpu")
    if not isinstance(encoder, NetworkEncoder):
        raise BundleError("Only a PyTorch encoder becomes ONNX.")
    whole = BundleModule(encoder, bundle.head).eval()
    generator = torch.Generator().manual_seed(0)
    size = bundle.spec.size
    pictures = torch.rand(N_TEST_CROPS, 3, size, size, generator=generator) * 255
    data = _described(onnx, _exported(whole, pictures), bundle)
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    there = session.run(None, {"pictures": pictures.numpy()})[0]
    with torch.inference_mode():
        here = whole(pictures).numpy()
    difference = float(np.abs(here - there).max())
    if not difference <= LARGEST_DIFFERENCE:
        raise TrainingError(
            f"The ONNX file was not written: its probabilities differ by {difference:.1g} from "
            "PyTorch's. Another version of onnxruntime may do better."
        )
    write_bytes(file, data)
    return difference


def _libraries() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise TrainingError(
            "Export to ONNX needs two more packages: pip install 'napari-hemacells[onnx]'."
        ) from error
    return onnx, onnxruntime


def _exported(whole: BundleModule, pictures: torch.Tensor) -> bytes:
    stream: Any = io.BytesIO()  # the tracing exporter writes to streams; its hints say names
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated, and needs least
        torch.onnx.export(
            whole,
            (pictures,),
            stream,
            input_names=["pictures"],
            output_names=["probabilities"],
            dynamic_axes={"pictures": {0: "n"}, "probabilities": {0: "n"}},
            opset_version=OPSET,
            dynamo=False,
        )
    return bytes(stream.getvalue())


def _described(onnx: Any, data: bytes, bundle: Bundle) -> bytes:
    """Return the file with the classes, the size and the margin of the crops in it."""
    model = onnx.load_from_string(data)
    names = {cell_class.id: cell_class.name for cell_class in bundle.palette}
    metadata = {
        "classes": "\n".join(names[class_id] for class_id in bundle.head.class_ids),
        "size": str(bundle.spec.size),
        "context": str(bundle.spec.context),
        "encoder": f"{bundle.encoder.name} {bundle.encoder.sha256}",
    }
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
