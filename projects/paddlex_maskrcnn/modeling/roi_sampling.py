"""The proposals the second stage learns from, foreground first, with the fields of their objects.

What: on a CPU the sample that a function of `ROI_SAMPLER` has found. On a GPU the samples of all images are
drawn into places (samplers/slots.py), and their numbers, their boxes and the numbers of their objects
are read in one copy, before the box head is queued: one wait for the batch, after which pooling and
drawing masks have nothing left to ask.
Differences on a GPU: other random numbers, with the same chances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from detectron2.structures import BitMasks, Instances, PolygonMasks
from detectron2.utils.events import get_event_storage

from .fast_path import is_fast
from .picked_masks import PickedMasks
from .read_boxes import ReadBoxes, read_parts
from .samplers.slots import Slots


@dataclass(frozen=True)
class Labelled:
    """Proposals of an image and what they show.

    Attributes:
        proposals: R of them.
        max_iou: (R,) with any object.
        matched: (R,) number of the object.
        labels: (R,) class, background or -1.
    """

    proposals: Instances
    max_iou: torch.Tensor
    matched: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Chosen:
    """Which proposals of an image are learned from, foreground first.

    Attributes:
        rows: (S,) numbers of the proposals.
        num_foreground: how many of them are foreground.
        boxes: those of the proposals, if the host knows them.
        objects: (S,) on the CPU: the numbers of their objects, if it knows those.
    """

    rows: torch.Tensor
    num_foreground: int
    boxes: ReadBoxes | None = None
    objects: torch.Tensor | None = None


def found_sample(foreground: torch.Tensor, background: torch.Tensor) -> Chosen:
    """The sample of an image that a function of `ROI_SAMPLER` has found."""
    return Chosen(torch.cat([foreground, background]), len(foreground))


def read_samples(images: Sequence[Labelled], drawn: Sequence[Slots]) -> list[Chosen]:
    """The samples of all images once their numbers are known."""
    parts = []
    for image, slots in zip(images, drawn, strict=True):
        rows = torch.cat(slots[:2])
        boxes = image.proposals.proposal_boxes.tensor[rows]
        parts.append([slots.counts, boxes, image.matched[rows]])
    return [
        _cut(slots, boxes, *read)
        for slots, (_, boxes, _), read in zip(drawn, parts, read_parts(parts), strict=True)
    ]


def _cut(
    slots: Slots,
    boxes: torch.Tensor,
    counts: torch.Tensor,
    host_boxes: torch.Tensor,
    objects: torch.Tensor,
) -> Chosen:
    """Without the places that are empty."""
    foreground, background = counts.int().tolist()
    start = len(slots.foreground)

    def used(values: torch.Tensor) -> torch.Tensor:
        return torch.cat([values[:foreground], values[start : start + background]])

    rows = used(torch.cat(slots[:2]))
    return Chosen(rows, foreground, ReadBoxes(used(boxes), used(host_boxes)), used(objects).long())


def sample_of(image: Labelled, chosen: Chosen, targets: Instances) -> Instances:
    """The chosen proposals with the fields of their objects.

    The private `_num_foreground` says how many of the first ones are foreground.
    """
    sample = image.proposals[chosen.rows]
    if chosen.boxes is not None:
        sample.proposal_boxes = chosen.boxes
    sample.gt_classes = image.labels[chosen.rows]
    sample._num_foreground = chosen.num_foreground
    if len(targets):
        objects = image.matched[chosen.rows]
        for name, value in targets.get_fields().items():
            if name.startswith("gt_") and not sample.has(name):
                sample.set(name, _picked(value, objects, chosen.objects))
    return sample


def log_sample_sizes(samples: list[Instances]) -> None:
    """As Detectron2, but from the samples' lengths, for which nobody waits."""
    foreground = [one._num_foreground for one in samples]
    background = [len(one) - one._num_foreground for one in samples]
    storage = get_event_storage()
    storage.put_scalar("roi_head/num_fg_samples", np.mean(foreground))
    storage.put_scalar("roi_head/num_bg_samples", np.mean(background))


def _picked(value: Any, rows: torch.Tensor, on_host: torch.Tensor | None) -> Any:
    """Rows of a field of objects; masks are drawn later, for those proposals that need them."""
    if is_fast() and isinstance(value, BitMasks | PolygonMasks):
        return PickedMasks(value, rows, on_host)
    return value[rows]
