"""The training loop on a network of one number."""

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from paddlex_maskrcnn.engine.device import Precision
from paddlex_maskrcnn.engine.failures import TrainingDivergedError
from paddlex_maskrcnn.engine.optimizer import Ema
from paddlex_maskrcnn.engine.trainer import Progress, StepRecord, Trainer
from paddlex_maskrcnn.errors import TrainingTroubleError
from paddlex_maskrcnn.inference.network import Network


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
    return Trainer(Network(module, None), optimizer, schedule, batches, progress, **settings)


def test_gradient_descent_by_hand():
    """w = 1, target 0: each step multiplies w by 1 - 2 * 0.1."""
    run = trainer([0.0])
    run.run()
    assert run.network.module.weight.item() == pytest.approx(0.8**4)
    losses = [record.losses["loss"] for record in run.progress.records]
    assert losses == pytest.approx([0.8 ** (2 * k) for k in range(4)])
    norms = [record.gradient_norm.item() for record in run.progress.records]
    assert norms == pytest.approx([2 * 0.8**k for k in range(4)])
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
        assert a.losses["loss"] == pytest.approx(b.losses["loss"])
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


def test_divergence_is_reported():
    """Images, losses and gradient norms, as json can hold them."""
    run = trainer([float("inf"), 0.0])
    run._recent.append(StepRecord({"loss": 0.5}, torch.tensor(2.0), 0.1, 1.0, 0.1))
    with pytest.raises(TrainingDivergedError) as caught:
        run.run()
    report = caught.value.report
    assert [one["image_id"] for one in report["images"]] == [0, 1]
    assert report["losses"] == {"loss": "inf", "loss_bbox": "inf"}
    assert report["gradient_norms"]["all"] == "inf"
    assert report["before"] == [{"loss": 0.5, "gradient_norm": 2.0}]
    assert report["step"] == 1


def spoil_gradient(run, step):
    """The backward pass of this step, from 1, gives NaN; its loss is finite."""
    weight = run.network.module.weight
    weight.register_hook(
        lambda grad: grad * float("nan") if run.progress.step + 1 == step else grad
    )


def test_a_gradient_that_is_not_finite_stops_before_the_step():
    run = trainer([0.0])
    spoil_gradient(run, 3)
    with pytest.raises(TrainingDivergedError, match=r"gradient is not finite.* at step 3.* images"):
        run.run()
    assert run.network.module.weight.item() == pytest.approx(0.8**2)
    assert run.is_whole, "the weights may be saved"
    assert run.progress.step == 2


@pytest.mark.parametrize("step", [3, 4])
def test_on_a_gpu_such_a_gradient_is_seen_a_step_later(monkeypatch, step):
    """Its norm is not waited for; it is read with the next losses, or before the weights are used."""
    monkeypatch.setattr("paddlex_maskrcnn.engine.trainer._is_on_host", lambda value: False)
    run = trainer([0.0], ema=None)
    spoil_gradient(run, step)

    def run_and_save():
        run.run()
        run.check_weights()  # as an evaluation or a save does

    with pytest.raises(TrainingDivergedError, match=rf"gradient is not finite.* at step {step}"):
        run_and_save()
    assert not run.is_whole, "the weights must not be saved"


def test_fp16_leaves_such_a_step_out():
    run = trainer([0.0], precision=Precision("fp16"))
    spoil_gradient(run, 2)
    run.run()
    run.check_weights()
    assert run.network.module.weight.item() == pytest.approx(0.8**3, rel=1e-3)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            torch.cuda.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has"
            ),
            r"not enough memory for step 1: 2 images \(width x height 8x6 with 3 objects, 8x6 with "
            r"3 objects\); the last request was for 2.00 GiB. In this order: 1. set "
            r"train.accumulate: 2 .*; 2. set train.amp: bf16 .*; 3. lower the short side",
        ),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "this machine has"),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
            "a process that loads images was killed by signal: Killed. Mostly that is too little",
        ),
    ],
)
def test_trouble_is_told(error, message):
    def fails(module, inputs):
        raise error

    run = trainer([0.0, 0.0])
    batch = next(run._batches)
    for one in batch:
        one |= {"image": torch.zeros(3, 6, 8), "instances": [0, 1, 2]}
    run.network.module.register_forward_pre_hook(fails)
    with pytest.raises(TrainingTroubleError, match=message):
        run.run()
    assert run.is_whole, "nothing of the step was done"


def test_other_errors_stay_themselves():
    run = trainer([0.0])
    run.network.module.register_forward_pre_hook(lambda module, inputs: {}["missing"])
    with pytest.raises(KeyError, match="missing"):
        run.run()


def test_averaged_weights_follow_by_hand():
    """decay = min(0.9, (1 + n) / (10 + n)) at step n."""
    run = trainer([0.0])
    run.ema = Ema(run.network.module, 0.9)
    run.run()
    weight, average = 1.0, 1.0
    for step in range(4):
        weight *= 0.8
        decay = (1 + step) / (10 + step)
        average = decay * average + (1 - decay) * weight
    module = run.network.module
    assert module.weight.item() == pytest.approx(weight)
    with run.ema.averaged():
        assert module.weight.item() == pytest.approx(average)
    assert module.weight.item() == pytest.approx(weight)


@pytest.mark.parametrize("clip", [None, 0.1])
def test_fp16_scales_the_loss_and_not_the_step(clip):
    """A gradient that fp16 alone would lose; the scaler's factor must not reach clipping."""
    plain, scaled = (
        trainer([1.0 - 1e-3], precision=one, clip_gradients=clip)
        for one in (Precision(), Precision("fp16", "cpu"))
    )
    for run in (plain, scaled):
        run.run()
    assert scaled.precision.state_dict()["scale"] > 1
    assert scaled.network.module.weight.item() == pytest.approx(plain.network.module.weight.item())


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
    record = StepRecord({"loss": 0.1, "loss_cls": 0.05}, torch.tensor(3.0), 0.1, 2.0, 0.5)
    assert StepRecord(**record.as_plain()) == record
