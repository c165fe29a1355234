"""Masks of the objects that proposals are matched to, drawn only for those that train the mask head.

Why: Detectron2 gives each of an image's 512 sampled proposals its own copy of the mask of its object,
of the image's full size where masks are bits, and then uses the quarter that is foreground. Here a
proposal keeps the number of its object.
Origin: the drawing is that of `detectron2.structures.BitMasks` and `PolygonMasks`, bit for bit.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.layers import ROIAlign
from detectron2.structures import BitMasks, Boxes, PolygonMasks

from .device_copies import send
from .read_boxes import host_boxes


class PickedMasks:
    """For each of R regions one of an image's masks."""

    def __init__(
        self,
        masks: BitMasks | PolygonMasks,
        rows: torch.Tensor,
        on_host: torch.Tensor | None = None,
    ) -> None:
        """Keep all.

        Args:
            masks: of the image's objects.
            rows: (R,) the number of the object of each region.
            on_host: the rows on the CPU, if they are known there.
        """
        self.masks, self.rows = masks, rows
        self.on_host = rows if rows.device.type == "cpu" else on_host

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: Any) -> PickedMasks:
        known = self.on_host[item] if isinstance(item, slice) and self.on_host is not None else None
        return PickedMasks(self.masks, self.rows[item], known)

    def to(self, *args: Any, **kwargs: Any) -> PickedMasks:
        """As the masks' own; the numbers go where they are told."""
        return PickedMasks(
            self.masks.to(*args, **kwargs), self.rows.to(*args, **kwargs), self.on_host
        )

    def crop_and_resize(self, boxes: torch.Tensor, mask_size: int) -> torch.Tensor:
        """Boxes (R, 4) to (R, mask_size, mask_size) of bool: what is in each box of its mask."""
        return self.draw(Boxes(boxes), mask_size).to(boxes.device)

    def draw(self, boxes: Boxes, mask_size: int) -> torch.Tensor:
        """As `crop_and_resize`, for R boxes that the host may know; polygons draw on the CPU."""
        rows = self.rows.cpu() if self.on_host is None else self.on_host
        if isinstance(self.masks, BitMasks):
            return self._align(rows, boxes.tensor, mask_size)
        known = host_boxes(boxes)
        known = boxes.tensor.cpu() if known is None else known
        return self.masks[rows].crop_and_resize(known, mask_size)

    def _align(self, rows: torch.Tensor, boxes: torch.Tensor, mask_size: int) -> torch.Tensor:
        bits = self.masks.tensor
        used, row = rows.unique(return_inverse=True)
        used, row = send(used, bits.device), send(row, bits.device)
        boxes = boxes.to(bits.device)
        rois = torch.cat([row[:, None].to(boxes.dtype), boxes], dim=1)
        align = ROIAlign((mask_size, mask_size), 1.0, 0, aligned=True)
        return align(bits[used].to(torch.float32)[:, None], rois)[:, 0] >= 0.5
