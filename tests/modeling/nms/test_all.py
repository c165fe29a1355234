"""What every registered NMS has to do, and each against its slow reference."""

from __future__ import annotations

import inspect

import pytest
import torch

import paddlex_maskrcnn.modeling.nms as package
from paddlex_maskrcnn.modeling.nms.settings import NMSSettings
from paddlex_maskrcnn.modeling.registries import BOX_NMS
from reference import greedy_nms, matrix_nms, soft_nms

SLOW = {
    "hard_nms": lambda *d, s: greedy_nms.hard_nms(*d, s.iou_threshold, s.top_k),
    "diou_nms": lambda *d, s: greedy_nms.diou_nms(*d, s.iou_threshold, s.top_k),
    "soft_nms": lambda *d, s: soft_nms.soft_nms(*d, s.sigma, s.score_threshold, s.top_k),
    "matrix_nms": lambda *d, s: matrix_nms.matrix_nms(*d, 0.05, s.top_k),
}
NAMES = sorted(name for name, _ in BOX_NMS)


def test_every_nms_is_tested():
    assert sorted(SLOW) == NAMES == sorted(n for n in package.__all__ if n.endswith("_nms"))


def as_taken_by(name, detections):
    """torchvision's NMS takes single precision only."""
    boxes, scores, classes = detections
    return (boxes.float(), scores.float(), classes) if name == "hard_nms" else detections


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_reference(name, detections, top_k):
    """The same boxes in the same order with the same scores."""
    detections = as_taken_by(name, detections)
    settings = NMSSettings(iou_threshold=0.5, score_threshold=0.05, sigma=0.5, top_k=top_k)
    keep, scores = BOX_NMS.get(name)(*detections, settings)
    expected = SLOW[name](*(tensor.tolist() for tensor in detections), s=settings)
    assert keep.tolist() == expected[0]
    assert scores.tolist() == pytest.approx(expected[1], rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_leaves_its_arguments_alone(name, detections):
    detections = as_taken_by(name, detections)
    copies = [tensor.clone() for tensor in detections]
    BOX_NMS.get(name)(*detections, NMSSettings())
    for tensor, copy in zip(detections, copies, strict=True):
        assert torch.equal(tensor, copy)


@pytest.mark.parametrize("name", NAMES)
def test_types_of_the_results(name, detections):
    """Indices are integers, scores have the precision of the scores, at most top_k of each."""
    boxes, scores, classes = detections
    keep, kept = BOX_NMS.get(name)(boxes.float(), scores.float(), classes, NMSSettings(top_k=5))
    assert keep.dtype == torch.int64
    assert kept.dtype == torch.float32
    assert keep.shape == kept.shape
    assert len(keep) <= 5


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_keeps_nearly_the_same(name):
    """Rounding may decide a border case otherwise, not more."""
    boxes, scores, classes = spread_in_single_precision()
    keep, kept = BOX_NMS.get(name)(boxes, scores, classes, NMSSettings())
    expected, expected_scores = SLOW[name](
        boxes.tolist(), scores.tolist(), classes.tolist(), s=NMSSettings()
    )
    assert len(set(keep.tolist()) ^ set(expected)) <= 2
    by_index = dict(zip(expected, expected_scores, strict=True))
    for index, score in zip(keep.tolist(), kept.tolist(), strict=True):
        assert score == pytest.approx(by_index.get(index, score), rel=1e-4)


def spread_in_single_precision():
    generator = torch.Generator().manual_seed(5)
    corner = torch.rand(300, 2, generator=generator) * 1000
    boxes = torch.cat([corner, corner + torch.rand(300, 2, generator=generator) * 400 + 8], dim=1)
    scores = torch.rand(300, generator=generator) * 0.9 + 0.1
    return boxes, scores, torch.randint(3, (300,), generator=generator)


def test_no_loop_over_classes():
    """A thousand classes of one box each take one step, not a thousand."""
    calls = []
    boxes = torch.tensor([[0.0, 0, 10, 10]]).repeat(1000, 1)
    grid = package.soft.build_grid(boxes, torch.rand(1000) + 0.1, torch.arange(1000))
    package.soft.pick_best_first(grid, lambda s, p, b: calls.append(1) or s, 0.0, -1)
    assert len(calls) == 1


@pytest.mark.parametrize("name", NAMES)
def test_signature_is_the_registrys(name):
    parameters = list(inspect.signature(BOX_NMS.get(name)).parameters)
    assert parameters == ["boxes", "scores", "classes", "settings"]


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_same_on_the_gpu(name, every_case):
    for boxes, scores, classes in every_case.values():
        arguments = (boxes.float(), scores.float(), classes)
        keep, kept = BOX_NMS.get(name)(*(x.cuda() for x in arguments), NMSSettings())
        expected, expected_scores = BOX_NMS.get(name)(*arguments, NMSSettings())
        assert keep.is_cuda
        assert keep.tolist() == expected.tolist()
        torch.testing.assert_close(kept.cpu(), expected_scores)
