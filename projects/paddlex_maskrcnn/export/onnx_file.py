"""Write a network as an ONNX file, and run such a file in onnxruntime.

What: torch's TorchScript exporter (`dynamo=False`), which follows R-CNNs; the graph has one optional
input beside the image, `score_threshold`, whose default is the model's own.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from . import operators
from .tracing import example_image, quiet

OUTPUTS = ("boxes", "scores", "labels", "masks")
THRESHOLD = "score_threshold"


def require_onnx() -> None:
    """Check that onnx and onnxruntime can be imported.

    Raises:
        ModuleNotFoundError: naming what is missing and the line that installs it.
    """
    missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f"exporting to ONNX needs {' and '.join(missing)}: "
            "pip install 'paddlex-maskrcnn[export]'",
            name=missing[0],
        )


def write_onnx(
    network: nn.Module, path: Path, channels: int, threshold: float, metadata: Mapping[str, str]
) -> None:
    """Write a file.

    Args:
        network: `ExportableRCNN`.
        channels: of the image.
        threshold: default of the input `score_threshold`.
        metadata: becomes the file's metadata_props.
    """
    import onnx

    operators.register()
    objects = {name: {0: "objects"} for name in OUTPUTS}
    with torch.no_grad(), quiet():
        torch.onnx.export(
            network, (example_image(channels), torch.tensor(threshold)), str(path),
            dynamo=False, opset_version=operators.OPSET, input_names=["image", THRESHOLD],
            output_names=list(OUTPUTS),
            dynamic_axes={"image": {1: "height", 2: "width"}, **objects},
        )  # fmt: skip
    model = onnx.load(str(path))
    default = onnx.numpy_helper.from_array(np.array(threshold, np.float32), THRESHOLD)
    model.graph.initializer.append(default)
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


class OnnxRunner:
    """A file in onnxruntime on the CPU."""

    name = "onnxruntime"

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            ValueError: when this onnxruntime has not all operators of it.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented as error:
            raise ValueError(
                f"onnxruntime {onnxruntime.__version__} cannot run this network ({error}); upgrade it "
                "(pip install -U onnxruntime), or export --to torchscript"
            ) from error

    def __call__(self, image: torch.Tensor, threshold: float) -> list[np.ndarray]:
        """Boxes, scores, labels, masks of an image (C, H, W) at a score threshold."""
        inputs = {"image": image.numpy(), THRESHOLD: np.array(threshold, np.float32)}
        return self._session.run(list(OUTPUTS), inputs)
