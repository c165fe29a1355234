"""A few training steps as one of several processes, and what they have left."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from detectron2.engine import HookBase

from paddlex_maskrcnn.config.schema import ModelParams, TrainParams
from paddlex_maskrcnn.data.datasets import DrawnShapes
from paddlex_maskrcnn.det import transforms
from paddlex_maskrcnn.engine.setup import set_up
from paddlex_maskrcnn.engine.train import build_trainer
from paddlex_maskrcnn.processes import leave_processes
from support.fixed_proposals import fix_proposals
from support.tiny_training import SMALL

TRAIN = transforms.Compose(
    [transforms.RandomHorizontalFlip(), transforms.Normalize(), transforms.ResizeByShort(64)]
)


class _FirstGradients(HookBase):
    """The gradients of the first step, averaged over the processes, before clipping."""

    def __init__(self) -> None:
        self.gradients: dict[str, torch.Tensor] = {}

    def after_backward(self) -> None:
        if not self.gradients:
            parameters = self.trainer.network.module.named_parameters()
            self.gradients = {n: p.grad.clone() for n, p in parameters if p.grad is not None}


def few_steps(folder: Path, model: dict[str, Any], train: dict[str, Any]) -> dict[str, Any]:
    """Train on the same proposals every time; losses, first gradients and last state."""
    torch.set_num_threads(1)
    data = DrawnShapes(
        folder, "train", num_images=8, image_size=96, num_workers=0, transforms=TRAIN, shuffle=True
    )
    size = {"train_batch_size": 4, "num_epochs": 1, "pretrain_weights": None}
    rates = {"learning_rate": 1e-3, "warmup_steps": 0, "lr_decay_epochs": []}
    params = TrainParams(
        train_dataset=data, save_dir=str(folder / "nothing"), **{**size, **rates, **train}
    )
    small = {
        **SMALL,
        "num_classes": len(data.labels) + 1,
        "rcnn_batch_size_per_im": 32,
        "device": "cpu",
        **model,
    }
    run = set_up(ModelParams(**small), params, data, None)
    fix_proposals(run.network.module)
    start_state = {k: v.clone() for k, v in run.network.module.state_dict().items()}
    trainer = build_trainer(run, run.batches())
    first = _FirstGradients()
    trainer.register_hooks([first])
    trainer.run()
    left = {
        "losses": [record.losses for record in run.progress.records],
        "gradients": first.gradients,
        "start": start_state,
        "state": {k: v.clone() for k, v in run.network.module.state_dict().items()},
    }
    if run.ema is not None:
        run.ema.swap()
        left["average"] = run.network.module.state_dict()
    return left


def main() -> None:
    """As torchrun starts it: every case of a folder's cases.json, one file a process."""
    folder = Path(sys.argv[1])
    cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    left = {name: few_steps(folder, *settings) for name, settings in cases.items()}
    torch.save(left, folder / f"{os.environ['RANK']}.pth")
    leave_processes()


if __name__ == "__main__":
    main()
