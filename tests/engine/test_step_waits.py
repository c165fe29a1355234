"""What the host waits for in a whole training step on a GPU."""

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from paddlex_maskrcnn.engine.trainer import Progress, Trainer
from support.gpu_steps import batch, small_network
from support.host_waits import PRETENDED, watch_waits


@pytest.mark.parametrize("clip_gradients", [None, 5.0])
def test_forward_waits_and_the_losses_are_read(clip_gradients):
    """Three waits in the forward pass, one for the losses; backward, clipping and SGD have none."""
    with watch_waits() as waits:
        network = small_network(PRETENDED)
        optimizer = torch.optim.SGD(network.module.parameters(), lr=1e-3, momentum=0.9)
        schedule = LambdaLR(optimizer, lambda step: 1.0)
        progress = Progress(step=0, steps_per_epoch=1, num_epochs=1)
        batches = iter([batch(PRETENDED)])
        waits.places.clear()
        trainer = Trainer(
            network, optimizer, schedule, batches, progress, clip_gradients=clip_gradients
        )
        trainer.run()
    assert len(waits) == 4, str(waits)
    assert sum("on_the_way" in line or "_checked" in line for _, (line, *_) in waits.places) == 1
    assert progress.records[0].losses["loss"] > 0
