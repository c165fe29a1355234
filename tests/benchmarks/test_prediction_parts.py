"""benchmarks/prediction_parts.py: parts add up, and the table says what was measured."""

import torch
from prediction_parts import PARTS, Measured, PartClock, count_operations, table
from torch import nn


def network() -> nn.Module:
    """A tree of modules with the names of PARTS."""
    root = nn.Module()
    for name in PARTS:
        *path, last = name.split(".")
        parent = root
        for one in path:
            if not hasattr(parent, one):
                parent.add_module(one, nn.Identity())
            parent = getattr(parent, one)
        if not hasattr(parent, last):
            parent.add_module(last, nn.Identity())
    return root


def test_a_part_is_its_module_without_the_parts_inside():
    time = iter([0.0, 1.0, 4.0, 6.0])
    made = network()
    clock = PartClock(made, lambda: next(time))
    made.backbone.register_forward_pre_hook(lambda *_: made.backbone.bottom_up(1) and None)
    made.backbone(1)
    found = clock.read()
    assert found["backbone"] == 3
    assert found["pyramid"] == 6 - 3
    assert sum(found.values()) == 6
    assert sum(clock.read().values()) == 0


def test_operations_of_a_part():
    """A product of (2, 3) and (3, 5) is 30 multiplications, each with an addition."""
    made = network()
    made.roi_heads.box_head = nn.Linear(3, 5, bias=False)
    made.roi_heads.forward = lambda x: made.roi_heads.box_head(x)
    made.forward = lambda x: made.roi_heads(x)
    found = count_operations(made, lambda: made(torch.ones(2, 3)))
    assert found["box head"] == 2 * 2 * 3 * 5
    assert sum(found.values()) == found["box head"]


def test_the_table_has_medians_and_ratios():
    seconds = {
        "ours": [{"backbone": 0.1, "proposals": 0.1}, {"backbone": 0.2, "proposals": 0.1}],
        "Detectron2": [{"backbone": 0.3, "proposals": 0.1}, {"backbone": 0.4, "proposals": 0.2}],
    }
    lines = table(Measured(seconds, {"backbone": 2e10, "proposals": 0.0}, speed=2e11))
    assert lines[2] == "| backbone | 20.0 GFLOP | 100 ms | 350 ms | 150 ms | 2.50 |"
    assert lines[-1] == "| sum | 20.0 GFLOP | 100 ms | 500 ms | 250 ms | 2.00 |"
