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
from detectron2.structures import BitMasks, PolygonMasks


class PickedMasks:
    """For each of R regions one of an image's masks."""

    def __init__(self, masks: BitMasks | PolygonMasks, rows: torch.Tensor) -> None:
        """Keep both.

        Args:
            masks: of the image's objects.
            rows: (R,) the number of the object of each region.
        """
        self.masks, self.rows = masks, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: Any) -> PickedMasks:
        return PickedMasks(self.masks, self.rows[item])

    def to(self, *args: Any, **kwargs: Any) -> PickedMasks:
        """As the masks' own; the numbers go where they are told."""
        return PickedMasks(self.masks.to(*args, **kwargs), self.rows.to(*args, **kwargs))

    def crop_and_resize(self, boxes: torch.Tensor, mask_size: int) -> torch.Tensor:
        """Boxes (R, 4) to (R, mask_size, mask_size) of bool: what is in each box of its mask."""
        if not isinstance(self.masks, BitMasks):
            return self.masks[self.rows].crop_and_resize(boxes, mask_size)
        used, row = self.rows.unique(return_inverse=True)
        rois = torch.cat([row[:, None].to(boxes.dtype), boxes], dim=1)
        align = ROIAlign((mask_size, mask_size), 1.0, 0, aligned=True)
        bits = self.masks.tensor[used].to(torch.float32)
        return align(bits[:, None], rois.to(bits.device))[:, 0] >= 0.5
