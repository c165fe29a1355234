"""A training run of seconds that several test files look at."""

import json
from pathlib import Path

import torch

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.det import transforms

SMALL = {
    "backbone": "ResNet18",
    "anchor_sizes": [8, 16, 32, 64, 128],
    "fpn_num_channels": 16,
    "rpn_batch_size_per_im": 32,
    "rcnn_batch_size_per_im": 8,
    "train_post_nms_top_n": 50,
    "test_post_nms_top_n": 50,
    "score_threshold": 0.01,
    "keep_top_k": 10,
}
FAST = {
    "train_batch_size": 2,
    "pretrain_weights": None,
    "learning_rate": 0.01,
    "warmup_steps": 3,
    "log_interval_steps": 2,
    "clip_gradients": 5,
}
TRAIN = transforms.Compose(
    [transforms.RandomHorizontalFlip(), transforms.Normalize(), transforms.ResizeByShort(64, 96)]
)
EVAL = transforms.Compose([transforms.Normalize(), transforms.ResizeByShort(64, 96)])


def train(data, save_dir: Path, num_epochs: int = 2, **settings):
    model = pdx.det.MaskRCNN(num_classes=len(data[0].labels) + 1, **SMALL)
    model.train(
        num_epochs, data[0], eval_dataset=data[1], save_dir=str(save_dir), **{**FAST, **settings}
    )
    return model


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return torch.load(directory / "model.pth", weights_only=True)


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def numbers(save_dir: Path) -> list[dict]:
    """The rows of metrics.jsonl without clock and memory."""
    rows = [json.loads(line) for line in (save_dir / "metrics.jsonl").read_text().splitlines()]
    timed = ("seconds_per_step", "data_share", "images_per_second", "memory_mb")
    return [{k: v for k, v in row.items() if k not in timed} for row in rows]
