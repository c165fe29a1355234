"""benchmarks/step_parts.py: operators fall under the outermost kind they are inside, and all are counted."""

from types import SimpleNamespace

import pytest
import torch
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes
from step_parts import (
    CONVOLUTION,
    ITS_GRADIENT,
    KINDS,
    OTHER,
    POOLING,
    PRODUCT,
    Measured,
    by_kind,
    count_operations,
    profiled,
    table,
)

from paddlex_maskrcnn.acceleration import accelerate


def event(name: str, microseconds: float, parent: SimpleNamespace | None = None) -> SimpleNamespace:
    """One of torch.profiler."""
    return SimpleNamespace(name=name, self_cpu_time_total=microseconds, cpu_parent=parent)


def test_the_outermost_kind_counts():
    gather = event("_GatherBackward", 1e6)
    bag = event("aten::_embedding_bag", 2e6, gather)
    product = event("aten::mm", 3e6, event("aten::linear", 0.0, gather))
    found = by_kind([gather, bag, product, event("aten::mm", 4e6), event("aten::add", 5e6)])
    assert found == {CONVOLUTION: 0, ITS_GRADIENT: 0, PRODUCT: 4, POOLING: 6, OTHER: 5}


def step() -> None:
    """A convolution and a product, with their gradients."""
    pixels = torch.rand(1, 2, 5, 5, requires_grad=True)
    convolved = torch.conv2d(pixels, torch.rand(3, 2, 3, 3, requires_grad=True))
    (convolved.flatten(1) @ torch.rand(27, 4)).sum().backward()


def test_operations_of_a_step():
    """A convolution's gradients for input and weights cost as much as itself each."""
    found = count_operations(step)
    assert found[CONVOLUTION] == 2 * 27 * 2 * 9
    assert found[ITS_GRADIENT] == 2 * found[CONVOLUTION]
    assert found[PRODUCT] == 2 * (2 * 27 * 4)  # no gradient for the second factor


def test_a_profile_has_all_kinds():
    found = profiled(step)
    assert all(found[kind] > 0 for kind in (CONVOLUTION, ITS_GRADIENT, PRODUCT, OTHER))


@pytest.mark.parametrize("ours", [True, False])
def test_pooling_is_recognised(ours):
    pooler = ROIPooler(2, [0.25], 2, "ROIAlignV2")
    if ours:
        accelerate(pooler)
    features = torch.rand(1, 3, 8, 8, requires_grad=True)
    boxes = [Boxes(torch.tensor([[2.0, 3.0, 20.0, 25.0]]))]
    assert profiled(lambda: pooler([features], boxes))[POOLING] > 0
    pooled = pooler([features], boxes).sum()
    assert profiled(pooled.backward)[POOLING] > 0


def test_the_table_has_medians_and_ratios():
    seconds = {
        "ours": [dict.fromkeys(KINDS, 1.0), dict.fromkeys(KINDS, 2.0)],
        "Detectron2": [dict.fromkeys(KINDS, 3.0), dict.fromkeys(KINDS, 4.0)],
    }
    operations = {
        "ours": dict.fromkeys(KINDS, 2e9),
        "Detectron2": dict.fromkeys(KINDS, 4e9),
    }
    lines = table(Measured(seconds, operations, speed=4e9))
    assert len(lines) == 2 + len(KINDS) + 1
    assert lines[2] == f"| {KINDS[0]} | 3.50 s | 1.50 s | 2.50 | 4, 2 GFLOP | 0.50 s |"
    assert lines[-1] == "| sum | 17.50 s | 7.50 s | 2.50 | 20, 10 GFLOP | 2.50 s |"


@pytest.mark.parametrize("name", ["aten::convolution_backward", "aten::_slow_conv2d_backward"])
def test_gradients_are_not_forward(name):
    assert by_kind([event(name, 1e6)])[ITS_GRADIENT] == 1
