"""Exported NMS equals that of the model: in torch, traced, and in onnxruntime."""

import numpy as np
import onnxruntime
import pytest
import torch
from torchvision.ops import batched_nms

from paddlex_maskrcnn.export.files import OPSET, quiet, register_operators
from paddlex_maskrcnn.export.network import (
    diou_nms,
    grouped_nms,
    matrix_nms,
    soft_nms,
)
from paddlex_maskrcnn.modeling import nms as of_the_model
from paddlex_maskrcnn.modeling.nms import MATRIX_POST_THRESHOLD, NMSSettings

CLASSES, TOP_K, IOU, SIGMA = 5, 30, 0.4, 0.3
FEW, MANY = 60, 1100  # below and above 4000 coordinates


def candidates(count: int, seed: int = 0):
    """Boxes in bunches, scores above 0.1, classes."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * 60
    sides = 10 + torch.rand(count, 2, generator=generator) * 40
    scores = 0.1 + 0.9 * torch.rand(count, generator=generator)
    classes = torch.randint(0, CLASSES, (count,), generator=generator)
    return torch.cat([corners, corners + sides], dim=1), scores, classes


def hard(boxes, scores, classes, threshold):
    keep = grouped_nms(boxes, scores, classes, CLASSES, IOU)[:TOP_K]
    return keep, scores[keep]


def soft(boxes, scores, classes, threshold):
    return soft_nms(boxes, scores, classes, threshold, SIGMA, TOP_K)


def diou(boxes, scores, classes, threshold):
    return diou_nms(boxes, scores, classes, IOU, TOP_K)


def matrix(boxes, scores, classes, threshold):
    return matrix_nms(boxes, scores, classes, CLASSES, MATRIX_POST_THRESHOLD, TOP_K)


KINDS = {
    "hard": (hard, of_the_model.hard_nms),
    "soft": (soft, of_the_model.soft_nms),
    "diou": (diou, of_the_model.diou_nms),
    "matrix": (matrix, of_the_model.matrix_nms),
}


def expected(kind: str, inputs, threshold: float, top_k: int = TOP_K):
    settings = NMSSettings(IOU, threshold, SIGMA, top_k)
    keep, scores = KINDS[kind][1](*(one.clone() for one in inputs), settings)
    return keep.numpy(), scores.numpy()


class Traceable(torch.nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, boxes, scores, classes, threshold):
        return self.function(boxes, scores, classes, threshold)


@pytest.fixture(scope="module", params=KINDS)
def session(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("nms") / "nms.onnx"
    names = ["boxes", "scores", "classes"]
    register_operators()
    with quiet():
        torch.onnx.export(
            Traceable(KINDS[request.param][0]), (*candidates(20), torch.tensor(0.2)), str(path),
            dynamo=False, opset_version=OPSET, input_names=[*names, "threshold"],
            dynamic_axes={name: {0: "n"} for name in names},
        )  # fmt: skip
    return request.param, onnxruntime.InferenceSession(str(path))


@pytest.mark.parametrize("count", [0, 1, FEW, MANY])
def test_in_onnxruntime(session, count):
    kind, run = session
    inputs = candidates(count, seed=count)
    named = dict(zip(["boxes", "scores", "classes"], (one.numpy() for one in inputs), strict=True))
    named["threshold"] = np.array(0.15, np.float32)
    known = {one.name for one in run.get_inputs()}
    keep, scores = run.run(None, {name: named[name] for name in known})
    wanted, wanted_scores = expected(kind, inputs, 0.15)
    np.testing.assert_array_equal(keep, wanted)
    np.testing.assert_allclose(scores, wanted_scores, atol=1e-6)
    assert len(keep) > 5 or count < FEW


@pytest.mark.parametrize("kind", KINDS)
def test_traced(kind):
    with quiet():
        traced = torch.jit.trace(
            Traceable(KINDS[kind][0]), (*candidates(20), torch.tensor(0.2)), check_trace=False
        )
        for count in (0, 1, FEW, MANY):
            inputs = candidates(count, seed=count)
            keep, scores = traced(*inputs, torch.tensor(0.15))
            wanted, wanted_scores = expected(kind, inputs, 0.15)
            np.testing.assert_array_equal(keep.numpy(), wanted)
            np.testing.assert_allclose(scores.numpy(), wanted_scores, atol=1e-6)


@pytest.mark.parametrize("count", [FEW, MANY])
def test_groups_are_kept_apart_as_torchvision_does(count):
    inputs = candidates(count)
    assert torch.equal(grouped_nms(*inputs, CLASSES, IOU), batched_nms(*inputs, IOU))


@pytest.mark.parametrize("kind", ["soft", "diou", "matrix"])
def test_without_a_limit_all_are_kept(kind):
    boxes, scores, classes = inputs = candidates(FEW)
    functions = {
        "soft": lambda: soft_nms(boxes, scores, classes, torch.tensor(0.0), SIGMA, -1),
        "diou": lambda: diou_nms(boxes, scores, classes, IOU, -1),
        "matrix": lambda: matrix_nms(boxes, scores, classes, CLASSES, MATRIX_POST_THRESHOLD, -1),
    }
    keep, _ = functions[kind]()
    wanted, _ = expected(kind, inputs, 0.0, top_k=-1)
    np.testing.assert_array_equal(keep.numpy(), wanted)
    assert len(keep) > TOP_K or kind == "diou"


def test_equal_scores_stay_in_their_order():
    boxes = torch.tensor([[0.0, 0, 9, 9], [20, 20, 29, 29], [40, 40, 49, 49]])
    scores, classes = torch.full((3,), 0.5), torch.zeros(3, dtype=torch.int64)
    for keep, _ in (
        soft_nms(boxes, scores, classes, torch.tensor(0.1), SIGMA, 2),
        diou_nms(boxes, scores, classes, IOU, 2),
        matrix_nms(boxes, scores, classes, CLASSES, MATRIX_POST_THRESHOLD, 2),
    ):
        assert keep.tolist() == [0, 1]
