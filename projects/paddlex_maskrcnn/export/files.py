"""Writing a network as an ONNX or a TorchScript file, and running such a file.

ONNX: torch's TorchScript exporter (`dynamo=False`), which follows R-CNNs; the graph has one optional
input beside the image, `score_threshold`, whose default is the model's own. Operators that the exporter
lacks, or writes in a form that fails inside of a Loop, are ours:
https://onnx.ai/onnx/operators/onnx__DeformConv.html (opset 19) and onnx__NonMaxSuppression.html. ONNX and
torchvision order the offsets of a deformable convolution alike: by group and tap, y then x.
TorchScript: `torch.jit.trace`; the score threshold is the buffer `score_threshold`. Loading needs torch
and torchvision, whose operators it uses.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.onnx import symbolic_helper, symbolic_opset11

_SIZE = (96, 128)  # pixels; the graph takes any size

OPSET = 19
OUTPUTS = ("boxes", "scores", "labels", "masks")
THRESHOLD = "score_threshold"


def example_image(channels: int) -> torch.Tensor:
    """Noise (channels, H, W) to trace with."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(channels, *_SIZE, generator=generator) * 255


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what torch says of tracing being old, and of constants that are constants here."""
    with warnings.catch_warnings():
        for category in (torch.jit.TracerWarning, DeprecationWarning, FutureWarning, UserWarning):
            warnings.filterwarnings("ignore", category=category)
        yield


def register_operators() -> None:
    """Teach the exporter; `torchvision::nms` then is what it was, with one operator exchanged."""
    torch.onnx.register_custom_op_symbolic("torchvision::deform_conv2d", _deform_conv2d, OPSET)
    torch.onnx.register_custom_op_symbolic("torchvision::nms", _nms, OPSET)


@symbolic_helper.parse_args(*"vvvvv", *"iiiiiiii", "b")
def _deform_conv2d(
    graph: Any, x: Any, weight: Any, offset: Any, mask: Any, bias: Any,
    stride_y: int, stride_x: int, pad_y: int, pad_x: int, dilation_y: int, dilation_x: int,
    groups: int, offset_groups: int, use_mask: bool,
) -> Any:  # fmt: skip
    return graph.op(
        "DeformConv", x, weight, offset, bias, *([mask] if use_mask else []),
        strides_i=[stride_y, stride_x], pads_i=[pad_y, pad_x] * 2,
        dilations_i=[dilation_y, dilation_x], group_i=groups, offset_group_i=offset_groups,
    )  # fmt: skip


@symbolic_helper.parse_args("v", "v", "f")
def _nms(graph: Any, boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """torchvision's own squeezes, which becomes an If where the exporter has lost the shape."""

    def constant(value: Any, dtype: torch.dtype = torch.int64) -> Any:
        return graph.op("Constant", value_t=torch.tensor(value, dtype=dtype))

    # the third input is the most boxes of a class: all
    rows = graph.op(
        "NonMaxSuppression",
        symbolic_opset11.unsqueeze(graph, boxes, 0),
        graph.op("Reshape", scores, constant([1, 1, -1])),
        constant([sys.maxsize]),
        constant([iou_threshold], torch.float32),
    )  # (kept, 3): image, class, box
    return graph.op("Gather", rows, constant(2), axis_i=1)


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

    register_operators()
    objects = {name: {0: "objects"} for name in OUTPUTS}
    with torch.no_grad(), quiet():
        # dynamo=False: the functions of nms.py are TorchScript, whose loops this exporter turns into Loop
        torch.onnx.export(
            network, (example_image(channels), torch.tensor(threshold)), str(path),
            dynamo=False, opset_version=OPSET, input_names=["image", THRESHOLD],
            output_names=list(OUTPUTS),
            dynamic_axes={"image": {1: "height", 2: "width"}, **objects},
        )  # fmt: skip
    model = onnx.load(str(path))
    # an input that has an initializer of its name is optional
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
        options.log_severity_level = 3  # errors only
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


class _OneInput(nn.Module):
    """The network as a function of the image, its threshold a buffer that can be set."""

    score_threshold: Tensor

    def __init__(self, network: nn.Module, threshold: float) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("score_threshold", torch.tensor(threshold))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.network(image, self.score_threshold)


def write_torchscript(
    network: nn.Module, path: Path, channels: int, threshold: float, metadata: Mapping[str, str]
) -> None:
    """Write a file; arguments as `write_onnx`, the metadata becomes extra files in it."""
    with torch.no_grad(), quiet():
        # without torch's own check: `verify` compares on images of several shapes
        traced = torch.jit.trace(
            _OneInput(network, threshold).eval(), example_image(channels), check_trace=False
        )
        torch.jit.save(traced, str(path), _extra_files=dict(metadata))


class TorchScriptRunner:
    """A file in torch on the CPU."""

    name = "TorchScript"

    def __init__(self, path: Path) -> None:
        """Open the file."""
        with quiet():
            self._module = torch.jit.load(str(path), map_location="cpu")

    @torch.no_grad()
    def __call__(self, image: Tensor, threshold: float) -> list[np.ndarray]:
        """Boxes, scores, labels, masks of an image (C, H, W) at a score threshold."""
        self._module.score_threshold.fill_(threshold)
        return [output.numpy() for output in self._module(image)]
