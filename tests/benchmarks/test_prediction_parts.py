"""benchmarks/prediction_parts.py: parts add up, and the table says what was measured."""

from prediction_parts import PARTS, PartClock, table
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


def test_the_table_has_medians_and_ratios():
    found = {
        "ours": [{"backbone": 0.1, "proposals": 0.1}, {"backbone": 0.2, "proposals": 0.1}],
        "Detectron2": [{"backbone": 0.3, "proposals": 0.1}, {"backbone": 0.4, "proposals": 0.2}],
    }
    lines = table(found)
    assert lines[2] == "| backbone | 350 ms | 150 ms | 2.50 |"
    assert lines[-1] == "| sum | 500 ms | 250 ms | 2.00 |"
