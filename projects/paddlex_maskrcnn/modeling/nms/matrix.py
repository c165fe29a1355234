"""Matrix NMS: every box loses score by its overlap with better ones, all at once.

What: the score of box j of a class is multiplied by the least (1 - IoU(i, j)) / (1 - m(i)) over
all better boxes i, m(i) being the largest IoU of i with a box better than i: what is itself
suppressed suppresses less. No box is picked or dropped in turn. Afterwards boxes with a score of
0.05 or less are dropped.
Paper: SOLOv2, https://arxiv.org/abs/2003.10152, section 3.3, the linear form.
Origin: PaddleX 1.3 `MatrixNMS`, which its documents do not mention, written from a description of
it: `score_threshold` cuts before, 0.05 after.
Differences: coordinates are continuous; a box exactly like a better one loses all of its score,
where the formula of a third one like them is 0 / 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..registries import BOX_NMS
from .class_grid import EMPTY, EPS, ClassGrid, build_grid, overlap
from .picking import best_first
from .settings import NMSSettings

POST_THRESHOLD = 0.05
PAIRS_AT_ONCE = 2**18  # bounds the memory


@BOX_NMS.register()
def matrix_nms(
    boxes: torch.Tensor, scores: torch.Tensor, classes: torch.Tensor, settings: NMSSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Kept indices, best first, and their decayed scores, see `BOX_NMS`.

    The IoU threshold is not used.
    """
    if len(scores) == 0:
        return classes, scores
    scores, order = scores.sort(descending=True, stable=True)
    indices, kept_scores = [], []
    for part in parts(build_grid(boxes[order], scores, classes[order])):
        decayed = decay(part)
        kept = decayed > POST_THRESHOLD
        indices.append(order[part.index[kept]])
        kept_scores.append(decayed[kept])
    return best_first(torch.cat(indices), torch.cat(kept_scores), settings.top_k)


def parts(grid: ClassGrid) -> Iterator[ClassGrid]:
    """Grids of some rows each, of about the same number of boxes and without places left over."""
    sizes, rows = (grid.scores > EMPTY).sum(dim=1).sort(descending=True)
    widths, start = sizes.tolist(), 0
    while start < len(widths):
        width = widths[start]
        end = start + max(1, PAIRS_AT_ONCE // width**2)
        part = grid.rows(rows[start:end])
        yield ClassGrid(part.index[:, :width], part.scores[:, :width], part.planes[..., :width])
        start = end


def decay(grid: ClassGrid) -> torch.Tensor:
    """Lowered scores (C, W) of boxes that are sorted by score within each row."""
    iou = overlap(grid.planes[..., :, None], grid.planes[..., None, :]).triu_(diagonal=1)
    left_over = 1 - iou.amax(dim=1)  # (C, W): 1 - m(i)
    factor = (1 - iou) / left_over.clamp_(min=EPS)[..., None]
    return grid.scores * factor.amin(dim=1)
