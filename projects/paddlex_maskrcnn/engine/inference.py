"""Images to detections: boxes in pixels of the original image, masks pasted inside their boxes only.

Equal to Detectron2's `GeneralizedRCNN` in evaluation mode with `detector_postprocess`, which this
replaces because that one pastes every mask onto a full image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from detectron2.layers import paste_masks_in_image
from detectron2.modeling import GeneralizedRCNN
from detectron2.structures import Boxes, Instances

from .detection import BoxMask, Detection

MASK_THRESHOLD = 0.5


@torch.no_grad()
def detect(module: GeneralizedRCNN, inputs: Sequence[dict[str, Any]]) -> list[list[Detection]]:
    """Detections of each image, best first.

    Only images of one shape run together, since the padding of a mixed batch would change the
    features at the border: any batch size gives the same result.

    Args:
        module: in evaluation mode.
        inputs: Detectron2's input dicts with `image` (C, H, W) and the original `height`, `width`.
    """
    found: list[list[Detection]] = [[] for _ in inputs]
    for indices in _same_shape(inputs):
        instances = module.inference([inputs[i] for i in indices], do_postprocess=False)
        for i, one in zip(indices, instances, strict=True):
            found[i] = _to_original(one, inputs[i]["height"], inputs[i]["width"])
    return found


def _same_shape(inputs: Sequence[dict[str, Any]]) -> list[list[int]]:
    groups: dict[tuple, list[int]] = {}
    for i, one in enumerate(inputs):
        groups.setdefault((*one["image"].shape, one.get("pad_to")), []).append(i)
    return list(groups.values())


def _to_original(instances: Instances, height: int, width: int) -> list[Detection]:
    """Detections of one image at network resolution, scaled to the original image."""
    network_height, network_width = instances.image_size
    boxes = Boxes(instances.pred_boxes.tensor.clone())
    boxes.scale(width / network_width, height / network_height)
    boxes.clip((height, width))
    instances = instances[boxes.nonempty()]
    kept = boxes.tensor[boxes.nonempty()].cpu()
    scores, classes = instances.scores.tolist(), instances.pred_classes.tolist()
    masks = instances.pred_masks[:, 0].cpu()
    return [
        Detection(tuple(box.tolist()), score, label, paste_in_box(mask, box, height, width))
        for box, score, label, mask in zip(kept, scores, classes, masks, strict=True)
    ]


def paste_in_box(mask: torch.Tensor, box: torch.Tensor, height: int, width: int) -> BoxMask:
    """A mask head's output as a binary mask of the image region its box covers.

    Args:
        mask: (M, M) probabilities.
        box: (4,) x1, y1, x2, y2, pixels.
        height, width: of the image, pixels.
    """
    x1, y1, x2, y2 = box.tolist()
    left, top = max(math.floor(x1) - 1, 0), max(math.floor(y1) - 1, 0)
    right, bottom = min(math.ceil(x2) + 1, width), min(math.ceil(y2) + 1, height)
    shifted = box - box.new_tensor([left, top, left, top])
    shape = (bottom - top, right - left)
    pasted = paste_masks_in_image(mask[None], shifted[None], shape, MASK_THRESHOLD)
    return BoxMask(left, top, np.ascontiguousarray(pasted[0].numpy(), dtype=np.uint8))
