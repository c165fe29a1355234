"""benchmarks/acceleration.py: one entry is left out, all others stay."""

import pytest
from detectron2.layers import Conv2d
from detectron2.modeling.poolers import ROIPooler
from torch import nn

from acceleration import ALL, PLAIN, accelerate_without, entries_of, main
from paddlex_maskrcnn.acceleration.accelerate import FASTER


@pytest.fixture
def network():
    return nn.Sequential(Conv2d(1, 1, 1), ROIPooler(2, [0.25], 2, "ROIAlignV2"), nn.ReLU())


def accelerated(network):
    return [type(part).__name__ for part in network if type(part) in FASTER.values()]


def test_entries_of_a_network(network):
    assert entries_of(network) == ["FoldedConv2d", "GatherPooler"]


@pytest.mark.parametrize(
    ("left_out", "stay"),
    [
        (ALL, ["FoldedConv2d", "GatherPooler"]),
        ("GatherPooler", ["FoldedConv2d"]),
        ("FoldedConv2d", ["GatherPooler"]),
        (PLAIN, []),
    ],
)
def test_the_others_stay(network, left_out, stay):
    table = dict(FASTER)
    accelerate_without(network, ALL)
    accelerate_without(network, left_out)
    assert accelerated(network) == stay
    assert table == FASTER


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rounds", "0"], "argument --rounds: is '0'; a whole number from 1 on is needed"),
        (["--variant", "fast"], "--variant is 'fast'; give NAME:train.KEY=VALUE"),
    ],
)
def test_mistakes_are_reported(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err
