"""Boxes of one image laid out as a grid: a row for each class that occurs, its boxes side by side.

Lets one tensor operation work on all classes at once. Rows are as long as the largest class; the
places left over hold boxes of no size with the score EMPTY.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

EMPTY = -1.0  # score of a place without a box, or whose box is settled; real scores are not below 0
EPS = 1e-9  # keeps divisions finite, far below the area of any real box in square pixels


@dataclass
class ClassGrid:
    """C classes, the largest with W boxes.

    Attributes:
        index: (C, W) where a box was in the input.
        scores: (C, W).
        planes: (7, C, W) x1, y1, x2, y2, area, centre x, centre y, in pixels.
    """

    index: torch.Tensor
    scores: torch.Tensor
    planes: torch.Tensor

    def rows(self, rows: torch.Tensor) -> ClassGrid:
        """The grid of these rows only, given by their numbers."""
        return ClassGrid(
            self.index.index_select(0, rows),
            self.scores.index_select(0, rows),
            self.planes.index_select(1, rows),
        )


def build_grid(boxes: torch.Tensor, scores: torch.Tensor, classes: torch.Tensor) -> ClassGrid:
    """Grid of boxes (N, 4), N > 0; boxes of a class keep their order."""
    classes, order = classes.sort(stable=True)
    _, row, sizes = torch.unique_consecutive(classes, return_inverse=True, return_counts=True)
    starts = sizes.cumsum(0) - sizes
    column = torch.arange(len(order), device=order.device) - starts[row]
    shape = (len(sizes), int(sizes.max()))
    place = row * shape[1] + column
    index = order.new_zeros(shape)
    index.view(-1)[place] = order
    grid_scores = scores.new_full(shape, EMPTY)
    grid_scores.view(-1)[place] = scores[order]
    planes = _planes(boxes[order])
    grid_planes = planes.new_zeros((len(planes), *shape))
    grid_planes.view(len(planes), -1)[:, place] = planes
    return ClassGrid(index, grid_scores, grid_planes)


def _planes(boxes: torch.Tensor) -> torch.Tensor:
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    return torch.stack([x1, y1, x2, y2, (x2 - x1) * (y2 - y1), (x1 + x2) / 2, (y1 + y2) / 2])


def overlap(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """IoU of boxes given as planes; shapes without the first dimension may broadcast.

    Boxes of no size overlap nothing.
    """
    size = torch.minimum(a[2:4], b[2:4]).sub_(torch.maximum(a[:2], b[:2])).clamp_(min=0)
    shared = size[0] * size[1]
    return shared / (a[4] + b[4]).sub_(shared).clamp_(min=EPS)


def centre_distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared distance of the centres by the squared diagonal of the box around both."""
    around = torch.maximum(a[2:4], b[2:4]).sub_(torch.minimum(a[:2], b[:2])).square_()
    distance = (a[5:7] - b[5:7]).square_()
    return (distance[0] + distance[1]) / (around[0] + around[1]).clamp_(min=EPS)
