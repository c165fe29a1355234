"""What of a checkpoint fits the optimizer of the run that goes on from it."""

from pathlib import Path

import pytest
import torch
from torch import nn

from paddlex_maskrcnn.engine.resume import _restore_optimizer

CHECKPOINT = Path("output/epoch_1")


def stepped(kind, *shapes, **arguments):
    """An optimizer that has taken a step with gradients of 1."""
    parameters = [nn.Parameter(torch.zeros(shape)) for shape in shapes]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer = kind(parameters, lr=0.1, **arguments)
    optimizer.step()
    return optimizer


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (torch.optim.SGD, {"momentum": 0.9, "fused": True}),
        (torch.optim.AdamW, {}),
        (torch.optim.Adafactor, {}),
    ],
)
def test_state_of_the_same_parameters_is_restored(kind, arguments):
    saved = stepped(kind, (4, 3), (5,), **arguments).state_dict()
    fresh = kind(
        [nn.Parameter(torch.zeros(shape)) for shape in ((4, 3), (5,))], lr=0.1, **arguments
    )
    _restore_optimizer(fresh, saved, CHECKPOINT)
    restored = fresh.state_dict()["state"]
    assert restored.keys() == {0, 1}
    for index, state in saved["state"].items():
        assert state.keys() == restored[index].keys()
        assert all(torch.equal(restored[index][name], value) for name, value in state.items())


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize(
    "shapes",
    [((5,), (4, 3)), ((3, 4), (5,)), ((4, 3),)],
    ids=["another order", "transposed", "one less"],
)
def test_state_of_other_parameters_is_refused(kind, shapes):
    arguments = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    saved = stepped(kind, (4, 3), (5,), **arguments).state_dict()
    other = kind([nn.Parameter(torch.zeros(shape)) for shape in shapes], lr=0.1, **arguments)
    with pytest.raises(
        ValueError, match=r"cannot resume from output/epoch_1: another set of param"
    ):
        _restore_optimizer(other, saved, CHECKPOINT)
    assert not other.state_dict()["state"], "nothing was taken over"
