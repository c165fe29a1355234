"""The device that is none: what counts as a wait, and that it computes."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import nms

from support.host_waits import PRETENDED, watch_waits

X = torch.arange(12.0).view(3, 4)
ROWS = torch.tensor([2, 0])
MASK = torch.tensor([True, False, True])

CASES = {
    "item": (lambda x, *_: x.sum().item(), 1),
    "bool": (lambda x, *_: bool((x > 3).any()), 1),
    "tolist": (lambda x, *_: x.tolist(), 1),
    "to the host": (lambda x, *_: x.cpu(), 1),
    "from the host": (lambda x, *_: torch.ones(2).to(x.device), 1),
    "a list": (lambda x, *_: torch.tensor([1.0, 2.0], device=x.device), 1),
    "a list, by a tensor": (lambda x, *_: x.new_tensor([1.0, 2.0]), 1),
    "not blocking": (lambda x, *_: torch.ones(2).to(x.device, non_blocking=True), 0),
    "nonzero": (lambda x, *_: torch.nonzero(x), 1),
    "where without values": (lambda x, *_: torch.where(x > 3), 1),
    "by a mask": (lambda x, rows, mask: x[mask], 1),
    "by its opposite on the host": (lambda x, *_: x[torch.tensor([1, 0])], 1),
    "by numbers": (lambda x, rows, mask: x[rows], 0),
    "a number where a mask is": (lambda x, rows, mask: x.clone().__setitem__(mask, 3), 0),
    "values where a mask is": (lambda x, rows, mask: x.clone().__setitem__(mask, x[:2]), 1),
    "unique": (lambda x, rows, mask: rows.unique(), 1),
    "bincount": (lambda x, rows, mask: rows.bincount(), 1),
    "repeat": (lambda x, rows, mask: rows.repeat_interleave(rows), 1),
    "nms": (lambda x, *_: nms(x, x[:, 0], 0.5), 1),
    "arithmetic": (lambda x, rows, mask: (x @ x.T).topk(3).values.where(mask, 0).sum(), 0),
    "factories": (lambda x, *_: torch.arange(3, device=x.device) + torch.full((3,), 2.0).sum(), 0),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_waited_for(case):
    run, expected = CASES[case]
    with watch_waits() as waits:
        tensors = [one.to(PRETENDED) for one in (X, ROWS, MASK)]
        waits.places.clear()
        run(*tensors)
    assert len(waits) == expected, str(waits)


def test_numbers_and_gradients_are_those_of_the_cpu():
    def run(x):
        x = x.clone().requires_grad_()
        (x[ROWS.to(x.device)].sigmoid() * x.sum()).square().mean().backward()
        return x.grad

    with watch_waits():
        far = run(X.to(PRETENDED))
        assert far.device == PRETENDED
        assert torch.equal(far.cpu(), run(X))


def test_tensors_of_two_devices_do_not_mix():
    """But a number of the host may come along, as on CUDA."""
    with watch_waits():
        far = X.to(PRETENDED)
        with pytest.raises(RuntimeError, match="two devices"):
            far + X
        assert (far + torch.tensor(1.0)).device == PRETENDED


def test_waits_name_their_lines():
    from paddlex_maskrcnn.modeling.box_losses import ciou_loss
    from paddlex_maskrcnn.modeling.samplers.random import split_labels

    with watch_waits() as waits:
        ciou_loss(X.to(PRETENDED), X.to(PRETENDED))
        labels = ROWS.to(PRETENDED)
        waits.places.clear()
        split_labels(labels, 0)
    assert len(waits) == 2
    assert all("modeling/samplers/random.py" in lines[0] for _, lines in waits.places)
    assert str(waits).startswith("1 x aten.nonzero.default < modeling/samplers/random.py:")
