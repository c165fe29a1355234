"""Boxes on the device that the host knows too.

Why: which map of the pyramid a region is pooled from, and where a polygon is drawn, the host has to
know. Boxes of a batch are read in one copy, where something has to be waited for anyway, and keep what
was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.structures import Boxes


class ReadBoxes(Boxes):
    """`Boxes`, and if it is known what they are, (N, 4) on the CPU as `on_host`."""

    def __init__(self, tensor: torch.Tensor, on_host: torch.Tensor | None = None) -> None:
        """Keep both."""
        super().__init__(tensor)
        self.on_host = on_host

    def __getitem__(self, item: Any) -> Boxes:
        """Some of the boxes; a slice of them is known as they are."""
        chosen = super().__getitem__(item)
        if self.on_host is None or not isinstance(item, slice):
            return chosen
        return ReadBoxes(chosen.tensor, self.on_host[item])


def host_boxes(boxes: Boxes) -> torch.Tensor | None:
    """(N, 4) on the CPU if nobody has to wait for them."""
    if boxes.tensor.device.type == "cpu":
        return boxes.tensor
    return getattr(boxes, "on_host", None)


def read_parts(
    parts: Sequence[Sequence[torch.Tensor]],
) -> list[list[torch.Tensor]]:
    """Tensors of each image, of any shapes, on the CPU in 32-bit floats; read in a single copy.

    Whole numbers come exact up to 2^24.
    """
    flat = [one.flatten().float() for image in parts for one in image]
    values = iter(torch.cat(flat).cpu().split([len(one) for one in flat]))
    return [[next(values).view(one.shape) for one in image] for image in parts]
