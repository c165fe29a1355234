"""Operators that torch's ONNX exporter lacks, or writes in a form that fails inside of a Loop.

Sources: https://onnx.ai/onnx/operators/onnx__DeformConv.html (opset 19) and
onnx__NonMaxSuppression.html. ONNX and torchvision order the offsets of a deformable convolution
alike: by group and tap, y then x.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch.onnx import symbolic_helper, symbolic_opset11

OPSET = 19


def register() -> None:
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

    rows = graph.op(
        "NonMaxSuppression",
        symbolic_opset11.unsqueeze(graph, boxes, 0),
        graph.op("Reshape", scores, constant([1, 1, -1])),
        constant([sys.maxsize]),
        constant([iou_threshold], torch.float32),
    )  # (kept, 3): image, class, box
    return graph.op("Gather", rows, constant(2), axis_i=1)
