"""Learning rate of each step."""

import pytest

from paddlex_maskrcnn.config.schema import TrainParams
from paddlex_maskrcnn.engine.optimizer import factor_of, learning_rate


def test_hand_computed():
    """Start 0.1, base 0.5 after 4 steps, a tenth from step 6, a hundredth from step 8."""
    known = {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4, 4: 0.5, 5: 0.5, 6: 0.05, 7: 0.05, 8: 0.005, 20: 0.005}
    for step, rate in known.items():
        found = learning_rate(
            step, base=0.5, warmup_start=0.1, warmup_steps=4, decay_steps=[6, 8], gamma=0.1
        )
        assert found == pytest.approx(rate)


def test_decay_comes_after_whole_epochs():
    params = TrainParams(num_epochs=3, train_dataset=None, warmup_steps=0, lr_decay_epochs=[1, 2])
    factor = factor_of(params, steps_per_epoch=10)
    assert [factor(step) for step in (0, 9, 10, 19, 20)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_no_decay_at_all():
    params = TrainParams(num_epochs=3, train_dataset=None, warmup_steps=0, lr_decay_epochs=[])
    assert factor_of(params, steps_per_epoch=10)(1000) == 1


def test_warmup_may_end_with_the_first_decay_but_not_after():
    params = TrainParams(num_epochs=3, train_dataset=None, warmup_steps=10, lr_decay_epochs=[1])
    factor_of(params, steps_per_epoch=10)
    with pytest.raises(
        ValueError, match="warmup_steps is 10, but the first decay comes before, after 9"
    ):
        factor_of(params, steps_per_epoch=9)
