"""Steps and predictions of a small network, on the CPU or on a device that is none (host_waits.py)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks
from detectron2.utils.events import EventStorage
from torch import nn

from paddlex_maskrcnn.config.schema import ModelParams
from paddlex_maskrcnn.engine.network import ModelCard, Network, build_network
from paddlex_maskrcnn.weights.input_format import InputFormat

from .tiny_training import SMALL

LABELS = ["circle", "square", "star"]
SIZE = (64, 80)
# everything is sampled, so that another random sample is the same one
ALL = {
    "rpn_batch_size_per_im": 10_000,
    "rpn_fg_fraction": 1.0,
    "rcnn_batch_size_per_im": 1000,
    "rcnn_fg_fraction": 1.0,
}


def small_network(device: torch.device, **settings: Any) -> Network:
    """The default network, small, with random weights that find something."""
    torch.manual_seed(0)
    params = ModelParams(**{"num_classes": 4, **SMALL, "score_threshold": 0.1, **settings})
    form = InputFormat("BGR", (110.0, 110.0, 110.0), (50.0, 50.0, 50.0))
    network = build_network(ModelCard(params, LABELS, [3, 7, 8], form, pretrained=False), "cpu")
    network.module.roi_heads.box_predictor.cls_score.weight.data.mul_(6)
    network.module.to(device)
    return network


def batch(
    device: torch.device, num: int = 2, masks: str = "polygons", crowd: bool = False
) -> list[dict[str, Any]]:
    """Images of five objects each, on the device as a loader that prefetches brings them.

    The last image has no objects.
    """
    torch.manual_seed(1)
    inputs = []
    for number in range(num):
        objects = _objects(5 if number < num - 1 else 0, masks, crowd and number == 0)
        image = torch.randint(0, 255, (3, *SIZE), dtype=torch.uint8)
        one = {"image": image.to(device), "instances": objects.to(device), "image_id": number}
        inputs.append({**one, "height": SIZE[0] * 2, "width": SIZE[1] * 3})
    return inputs


def _objects(num: int, masks: str, crowd: bool) -> Instances:
    low = torch.rand(num, 2) * 32
    boxes = torch.cat([low, low + torch.rand(num, 2) * 24 + 6], 1)
    objects = Instances(SIZE, gt_boxes=Boxes(boxes), gt_classes=torch.arange(num) % 3)
    outlines = [[np.array([a, b, c, b, c, d, a, d])] for a, b, c, d in boxes.tolist()]
    drawn = BitMasks.from_polygon_masks(outlines, *SIZE)
    objects.gt_masks = PolygonMasks(outlines) if masks == "polygons" else drawn
    if crowd:
        objects.gt_crowd = torch.arange(num) == num - 1
    return objects


def train_once(module: nn.Module, inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Losses and gradients of one pass, on the CPU."""
    module.train()
    with EventStorage():
        losses = module(inputs)
    sum(losses.values()).backward()
    grads = {
        name: one.grad.cpu() for name, one in module.named_parameters() if one.grad is not None
    }
    return {**{name: loss.detach().cpu() for name, loss in losses.items()}, **grads}
