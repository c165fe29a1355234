"""Means over the regions of several processes, without processes: their sums are simulated."""

import pytest
import torch

from paddlex_maskrcnn.modeling import losses
from paddlex_maskrcnn.modeling.rpn import num_positives


@pytest.fixture
def others(monkeypatch):
    """Three processes; the other two have 5 and 0 regions."""

    def all_reduce(total):
        total += 5 + 0

    monkeypatch.setattr(losses.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(losses.dist, "get_world_size", lambda: 3)
    monkeypatch.setattr(losses.dist, "all_reduce", all_reduce)


@pytest.mark.usefixtures("others")
def test_averaged_means_are_the_mean_of_all():
    """Values 1, 2, 3, 6 here and five times 4 there: mean over nine."""
    here = torch.tensor([1.0, 2.0, 3.0, 6.0])
    mine = here.mean() * losses.rank_weight(4, here.device)
    theirs = 4.0 * (5 / 3)  # share 5 / ((4 + 5 + 0) / 3), of a mean of 4
    assert ((mine + theirs + 0) / 3).item() == pytest.approx((12 + 20) / 9)


@pytest.mark.usefixtures("others")
def test_positives_are_counted_over_all():
    labels = torch.tensor([[1, 0, -1, 1]])
    assert num_positives(labels).item() == pytest.approx((2 + 5) / 3)


@pytest.mark.usefixtures("others")
def test_processes_can_be_on_their_own():
    """Data that is divided up has another number of batches in each: they must not wait."""
    with losses.local_losses():
        assert losses.rank_weight(4, torch.device("cpu")) == 1.0
        assert num_positives(torch.tensor([1, 1])).item() == 2
    assert losses.rank_weight(4, torch.device("cpu")) != 1.0


def test_one_process_pays_nothing():
    assert losses.rank_weight(4, torch.device("cpu")) == 1.0
    count = torch.tensor(3)
    assert losses.mean_count(count) is count


def test_no_region_anywhere(monkeypatch):
    monkeypatch.setattr(losses.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(losses.dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(losses.dist, "all_reduce", lambda total: None)
    assert losses.rank_weight(0, torch.device("cpu")) == 0
    assert num_positives(torch.zeros(4)).item() == 0.5, "at least one over all"
