"""The training loop on a network of one number."""

from types import SimpleNamespace

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from paddlex_maskrcnn.engine.trainer import Progress, StepRecord, Trainer, TrainingDivergedError


class MeanSquare(torch.nn.Module):
    """Loss: mean over the batch of (weight - target)^2, under Detectron2's name of the box loss."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(1.0))
        self.batch_sizes = []

    def forward(self, batch):
        self.batch_sizes.append(len(batch))
        targets = torch.tensor([one["target"] for one in batch])
        return {"loss_box_reg": (self.weight - targets).square().mean()}


def trainer(targets, **settings):
    module = MeanSquare()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    batch = [{"target": target, "image_id": i} for i, target in enumerate(targets)]
    progress = Progress(step=0, steps_per_epoch=2, num_epochs=2)
    schedule = LambdaLR(optimizer, lambda step: 1.0)
    batches = iter([batch] * 4)
    return Trainer(
        SimpleNamespace(module=module), optimizer, schedule, batches, progress, **settings
    )


def test_gradient_descent_by_hand():
    """w = 1, target 0: each step multiplies w by 1 - 2 * 0.1."""
    run = trainer([0.0])
    run.run()
    assert run.network.module.weight.item() == pytest.approx(0.8**4)
    losses = [record.losses["loss"].item() for record in run.progress.records]
    assert losses == pytest.approx([0.8 ** (2 * k) for k in range(4)])
    assert run.progress.records[0].losses["loss_bbox"] == run.progress.records[0].losses["loss"]


@pytest.mark.parametrize("accumulate", [1, 2, 3, 5])
def test_parts_give_the_gradient_of_the_whole_batch(accumulate):
    """Five images in parts of different size; the mean must weigh images, not parts."""
    targets = [0.0, 1.0, -2.0, 4.0, 0.5]
    whole, parts = trainer(targets), trainer(targets, accumulate=accumulate)
    whole.run()
    parts.run()
    assert parts.network.module.weight.item() == pytest.approx(whole.network.module.weight.item())
    pairs = zip(whole.progress.records, parts.progress.records, strict=True)
    for a, b in pairs:
        assert a.losses["loss"].item() == pytest.approx(b.losses["loss"].item())
    assert max(parts.network.module.batch_sizes) == -(-5 // accumulate)


def test_clipping():
    run = trainer([1e6], clip_gradients=1.0)
    run.run_step()
    assert run.network.module.weight.item() == pytest.approx(1.1)


def test_divergence_names_images_and_leaves_the_weights():
    run = trainer([float("inf"), 0.0])
    with pytest.raises(TrainingDivergedError, match=r"at step 1 .*images \[0, 1\]"):
        run.run()
    assert run.network.module.weight.item() == 1.0


def test_a_hook_can_stop_the_run():
    run = trainer([0.0])
    run.after_step = lambda: setattr(run, "stop_reason", "enough")
    run.run()
    assert run.progress.step == 1


def test_progress_counts_from_one():
    progress = Progress(step=0, steps_per_epoch=3, num_epochs=2)
    seen = []
    for step in range(1, 7):
        progress.step = step
        seen.append((progress.epoch, progress.step_in_epoch, progress.epoch_is_done))
    assert seen == [
        (1, 1, False),
        (1, 2, False),
        (1, 3, True),
        (2, 1, False),
        (2, 2, False),
        (2, 3, True),
    ]


def test_a_record_survives_a_checkpoint():
    record = StepRecord({"loss": torch.tensor(0.1), "loss_cls": torch.tensor(0.05)}, 0.1, 2.0, 0.5)
    again = StepRecord.from_plain(record.as_plain())
    assert again.as_plain() == record.as_plain()
    assert torch.equal(again.losses["loss"], record.losses["loss"])
