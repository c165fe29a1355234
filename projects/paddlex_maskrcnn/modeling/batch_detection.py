"""Detections of a whole batch, for a GPU: three waits instead of five an image.

What: what `SeamBoxPredictor.detect` does to one image, with greedy NMS: candidates above the score
cut, inside the image, NMS of each class, the best of all.
What is waited for: the number of candidates; NMS, which does not know how many stay; then the numbers
of detections and their boxes, which the mask head's pooling needs on the host.
Differences: none but the rounding of NMS's overlaps (grouped_nms.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from detectron2.structures import Instances

from .device_copies import send
from .grouped_nms import MOST_BOXES, best_of_images, nms_of_groups
from .nms.settings import NMSSettings
from .read_boxes import ReadBoxes, read_parts

Detections = tuple[list[Instances], list[torch.Tensor]]


def detect_together(
    boxes: Sequence[torch.Tensor],
    scores: Sequence[torch.Tensor],
    image_sizes: Sequence[tuple[int, int]],
    settings: NMSSettings,
) -> Detections | None:
    """Detections of each image, best first, and of each its row among the finite ones.

    Args:
        boxes: (R, K * 4) of each image, or (R, 4) when all classes share a box.
        scores: (R, K + 1) probabilities, background last.
        image_sizes: height and width in pixels.

    Returns:
        None when there are too many candidates for one call of NMS.
    """
    flat_boxes, flat_scores = torch.cat(list(boxes)), torch.cat(list(scores))
    images = torch.cat(
        [torch.full((len(one),), image, device=one.device) for image, one in enumerate(boxes)]
    )
    is_finite = torch.isfinite(flat_boxes).all(dim=1) & torch.isfinite(flat_scores).all(dim=1)
    num_classes = flat_scores.shape[1] - 1
    above = (flat_scores[:, :-1] > settings.score_threshold) & is_finite[:, None]
    rows, classes = torch.nonzero(above, as_tuple=True)
    if len(rows) > MOST_BOXES:
        return None
    columns = classes if flat_boxes.shape[1] > 4 else 0
    candidates = flat_boxes.unflatten(1, (-1, 4))[rows, columns]
    candidates = _clip(candidates, image_sizes, images[rows])
    values = flat_scores[rows, classes]
    kept = nms_of_groups(
        candidates.float(), values, images[rows] * num_classes + classes,
        len(boxes) * num_classes, settings.iou_threshold,
    )  # fmt: skip
    most = len(kept) if settings.top_k < 0 else min(settings.top_k, len(kept))
    slots, counts = best_of_images(kept, images[rows[kept]], len(boxes), most)
    numbers = torch.cat([one.cumsum(0) - 1 for one in is_finite.split([len(b) for b in boxes])])
    found = _chosen(slots, candidates, values, classes, numbers[rows])
    return _read(found, counts, image_sizes)


def _clip(
    boxes: torch.Tensor, image_sizes: Sequence[tuple[int, int]], images: torch.Tensor
) -> torch.Tensor:
    sides = torch.tensor([(width, height) * 2 for height, width in image_sizes]).to(boxes.dtype)
    return torch.minimum(boxes.clamp(min=0), send(sides, boxes.device)[images])


def _chosen(slots: torch.Tensor, *values: torch.Tensor) -> list[torch.Tensor]:
    """Of candidates (C, ...) those in the slots (N, S): (N, S, ...); of none, none."""
    if len(values[0]) == 0:
        return [one.new_zeros(len(slots), 0, *one.shape[1:]) for one in values]
    return [one[slots] for one in values]


def _read(
    found: Sequence[torch.Tensor], counts: torch.Tensor, image_sizes: Sequence[tuple[int, int]]
) -> Detections:
    read_counts, host_boxes = read_parts([[counts, found[0]]])[0]
    detections, rows = [], []
    for image, count in enumerate(read_counts.int().tolist()):
        box, score, label, row = (one[image, :count] for one in found)
        one = Instances(image_sizes[image])
        one.pred_boxes = ReadBoxes(box, host_boxes[image, :count])
        one.scores, one.pred_classes = score, label
        detections.append(one)
        rows.append(row)
    return detections, rows
