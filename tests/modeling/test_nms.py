"""Every NMS against slow references, at its limits and on empty input."""

from __future__ import annotations

import inspect
import math

import pytest
import torch

import reference.greedy_nms
import reference.matrix_nms
import reference.soft_nms
from paddlex_maskrcnn.modeling.nms import (
    NMSSettings,
    build_grid,
    diou_nms,
    hard_nms,
    matrix_nms,
    pick_best_first,
    soft_nms,
)
from paddlex_maskrcnn.modeling.registries import BOX_NMS

Detections = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def spread(num: int, num_classes: int, seed: int, room: float = 60.0) -> Detections:
    """Boxes that overlap more or less, scores above 0.05."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(num, 2, generator=generator, dtype=torch.float64) * room
    side = torch.rand(num, 2, generator=generator, dtype=torch.float64) * 40 + 1
    scores = torch.rand(num, generator=generator, dtype=torch.float64) * 0.95 + 0.05
    classes = torch.randint(num_classes, (num,), generator=generator)
    return torch.cat([corner, corner + side], dim=1), scores, classes


def tied(num: int, seed: int) -> Detections:
    """Few different scores, boxes on a coarse raster, so that many are equal."""
    boxes, scores, classes = spread(num, 3, seed)
    return (boxes / 16).round() * 16, (scores * 4).ceil() / 4, classes


def piled_up(num: int) -> Detections:
    """All boxes nearly the same and of one class."""
    boxes, scores, classes = spread(num, 1, 0)
    return torch.tensor([[10.0, 10, 50, 40]], dtype=torch.float64) + boxes / 40, scores, classes


def degenerate() -> Detections:
    """Points, lines and a box, some on top of each other."""
    boxes = [[5, 5, 5, 5], [5, 5, 5, 5], [5, 5, 9, 5], [4, 4, 6, 6], [5, 2, 5, 8], [4, 4, 6, 6]]
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], dtype=torch.float64)
    return torch.tensor(boxes, dtype=torch.float64), scores, torch.zeros(6, dtype=torch.int64)


CASES = {
    **{f"random {seed}": spread(60, 4, seed) for seed in range(8)},
    **{f"tied {seed}": tied(50, seed) for seed in range(4)},
    "empty": spread(0, 4, 0),
    "single": spread(1, 4, 0),
    "one class": spread(60, 1, 1),
    "one box a class": (*spread(40, 1, 2)[:2], torch.randperm(40)),
    "classes far apart": (*spread(40, 1, 3)[:2], torch.arange(40) % 3 * 1000),
    "all overlapping": piled_up(80),
    "equal boxes": (*(x[:1].repeat(30, *[1] * (x.dim() - 1)) for x in spread(1, 1, 0)),),
    "degenerate": degenerate(),
    "a thousand": spread(1000, 20, 9, room=400),
    "one large class": (*spread(200, 1, 4)[:2], (torch.rand(200) < 0.1) * torch.randint(9, (200,))),
}


@pytest.fixture(params=CASES)
def detections(request: pytest.FixtureRequest) -> Detections:
    """Boxes (N, 4) and scores (N,) in double precision, so that references agree, classes (N,)."""
    return tuple(tensor.clone() for tensor in CASES[request.param])


@pytest.fixture(params=[-1, 0, 1, 10], ids=lambda k: f"top_k={k}")
def top_k(request: pytest.FixtureRequest) -> int:
    """How many boxes to keep at most."""
    return request.param


@pytest.fixture
def every_case() -> dict[str, Detections]:
    """All cases at once, for tests too slow to start for each."""
    return CASES


SLOW = {
    "hard_nms": lambda *d, s: reference.greedy_nms.hard_nms(*d, s.iou_threshold, s.top_k),
    "diou_nms": lambda *d, s: reference.greedy_nms.diou_nms(*d, s.iou_threshold, s.top_k),
    "soft_nms": lambda *d, s: reference.soft_nms.soft_nms(*d, s.sigma, s.score_threshold, s.top_k),
    "matrix_nms": lambda *d, s: reference.matrix_nms.matrix_nms(*d, 0.05, s.top_k),
}
NAMES = sorted(name for name, _ in BOX_NMS)


def test_every_nms_is_tested():
    assert sorted(SLOW) == NAMES


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
    grid = build_grid(boxes, torch.rand(1000) + 0.1, torch.arange(1000))
    pick_best_first(grid, lambda s, p, b: calls.append(1) or s, 0.0, -1)
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


def concentric(num):
    """Boxes of one class with the same centre."""
    torch.manual_seed(0)
    half = torch.rand(num, 2) * 20 + 5
    boxes = torch.cat([50 - half, 50 + half], dim=1)
    return boxes, torch.rand(num), torch.zeros(num, dtype=torch.int64)


def test_diou_of_concentric_boxes_is_hard():
    keep, scores = diou_nms(*concentric(100), NMSSettings(0.7))
    expected, expected_scores = hard_nms(*concentric(100), NMSSettings(0.7))
    assert 1 < len(expected) < 100
    assert torch.equal(keep, expected)
    assert torch.equal(scores, expected_scores)


def test_diou_keeps_neighbours_hard_drops():
    """Shifted by a quarter: IoU 3 / 5; centres 2.5 apart, diagonal^2 12.5^2 + 10^2."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [2.5, 0, 12.5, 10]])
    scores, classes = torch.tensor([0.9, 0.8]), torch.tensor([0, 0])
    diou = 0.6 - 2.5**2 / (12.5**2 + 10**2)
    assert len(hard_nms(boxes, scores, classes, NMSSettings(0.59))[0]) == 1
    assert len(diou_nms(boxes, scores, classes, NMSSettings(diou + 1e-4))[0]) == 2
    assert len(diou_nms(boxes, scores, classes, NMSSettings(diou - 1e-4))[0]) == 1


@pytest.mark.parametrize("nms", [hard_nms, diou_nms])
def test_an_overlap_of_exactly_the_threshold_is_allowed(nms):
    """Half of the box around the same centre: IoU 1 / 2."""
    boxes = torch.tensor([[0.0, 0, 4, 4], [0.0, 1, 4, 3]])
    arguments = (boxes, torch.tensor([0.9, 0.8]), torch.tensor([0, 0]))
    assert len(nms(*arguments, NMSSettings(0.5))[0]) == 2
    assert len(nms(*arguments, NMSSettings(0.499))[0]) == 1


def test_soft_with_a_wide_gaussian_keeps_all_scores():
    boxes, scores, classes = concentric(50)
    keep, kept = soft_nms(boxes, scores, classes, NMSSettings(sigma=1e12, score_threshold=0.0))
    assert torch.equal(kept, scores.sort(descending=True).values)
    assert torch.equal(scores[keep], kept)


def test_soft_with_a_narrow_gaussian_drops_all_that_overlap():
    boxes, scores, classes = concentric(50)
    keep, _ = soft_nms(boxes, scores, classes, NMSSettings(sigma=1e-6))
    assert keep.tolist() == [int(scores.argmax())]


def test_soft_by_hand():
    """Half of the box: IoU 1 / 2, so 0.8 becomes 0.8 exp(-0.25 / 0.5); another class is safe."""
    boxes = torch.tensor([[0.0, 0, 4, 4], [0.0, 0, 4, 2], [0.0, 0, 4, 2]])
    scores, classes = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([3, 3, 1])
    keep, kept = soft_nms(boxes, scores, classes, NMSSettings(sigma=0.5))
    assert keep.tolist() == [0, 2, 1]
    assert kept.tolist() == pytest.approx([0.9, 0.7, 0.8 * math.exp(-0.5)])
    keep, _ = soft_nms(boxes, scores, classes, NMSSettings(sigma=0.5, score_threshold=0.49))
    assert keep.tolist() == [0, 2]


def test_matrix_by_hand():
    """B overlaps A by 1/2; C overlaps B by 1/2, A not: B may take only half / half of C."""
    boxes = torch.tensor([[0.0, 0, 2, 1], [0.0, 0, 1, 1], [0.0, 0, 1, 0.5]])
    scores, classes = torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3, dtype=torch.int64)
    keep, kept = matrix_nms(boxes, scores, classes, NMSSettings())
    assert keep.tolist() == [0, 2, 1]
    assert kept.tolist() == pytest.approx([0.9, 0.7 * 0.75, 0.8 * 0.5])


def test_matrix_drops_a_repeated_box_however_often():
    boxes = torch.tensor([[0.0, 0, 2, 1]]).repeat(4, 1)
    scores, classes = torch.tensor([0.6, 0.9, 0.8, 0.7]), torch.zeros(4, dtype=torch.int64)
    assert matrix_nms(boxes, scores, classes, NMSSettings())[0].tolist() == [1]


@pytest.mark.parametrize("top_k", [1, 3, 20])
def test_stopping_early_changes_nothing(top_k):
    """The best of a few equals the best of all, though soft-NMS reorders."""
    torch.manual_seed(1)
    corner = torch.rand(300, 2) * 60
    boxes = torch.cat([corner, corner + 30], dim=1)
    arguments = (boxes, torch.rand(300), torch.randint(5, (300,)))
    for nms in (soft_nms, diou_nms, matrix_nms):
        everything = nms(*arguments, NMSSettings())
        few = nms(*arguments, NMSSettings(top_k=top_k))
        for got, expected in zip(few, everything, strict=True):
            assert torch.equal(got, expected[:top_k])
