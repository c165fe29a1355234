"""Boxes to try every NMS on."""

from __future__ import annotations

import pytest
import torch

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
