"""Non-maximum suppression: the functions of the registry `BOX_NMS`.

What: greedy NMS, DIoU-NMS, soft-NMS and matrix NMS of one image, each class on its own.
Origin: PaddleX 1.3's `MultiClassNMS`, `MultiClassCiouNMS`, `MultiClassSoftNMS` and `MatrixNMS`, written
from a description of them; papers stand with each function.
Differences from PaddleX, all four: coordinates are continuous, PaddleX's IoU counts pixels
(x2 - x1 + 1); the best box comes first, PaddleX returns classes one after the other; images of a
batch are kept apart, PaddleX's DIoU-NMS suppresses across them.
How: `hard_nms` is torchvision's. The others lay the boxes out as a grid, a row for each class, so that
one tensor operation works on all classes at once.
Shapes: C classes that occur, the largest with W boxes. Boxes are XYXY pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torchvision.ops import batched_nms

from .registries import BOX_NMS

EMPTY = -1.0  # score of a cell without a box, or whose box is settled; real scores are not below 0
EPS = 1e-9  # keeps divisions finite, far below the area of any real box in square pixels
MATRIX_POST_THRESHOLD = 0.05  # PaddleX's `post_threshold`: decayed scores up to this are dropped
_MATRIX_PAIRS = 2**18  # pairs of boxes compared at once by matrix NMS: bounds its memory

Rescore = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class NMSSettings:
    """Settings shared by all functions of `BOX_NMS`; each uses those it needs.

    Attributes:
        iou_threshold: overlap, a fraction, above which the lower-scored box goes.
        score_threshold: score a box has to exceed, also after its score was lowered.
        sigma: width of the Gaussian of soft-NMS.
        top_k: number of boxes to keep at most; -1 keeps all.
    """

    iou_threshold: float = 0.5
    score_threshold: float = 0.05
    sigma: float = 0.5
    top_k: int = -1


@BOX_NMS.register()
def hard_nms(
    boxes: torch.Tensor, scores: torch.Tensor, classes: torch.Tensor, settings: NMSSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Greedy NMS: indices of the boxes that stay, best first, and their unchanged scores.

    The best box stays, boxes of its class that overlap it by more than the threshold go, and so on
    with the rest. `torchvision.ops.batched_nms`, which Detectron2 uses too: equal to it bit for bit.
    """
    # Half precision has not the range for the class offsets batched_nms may add.
    keep = batched_nms(boxes.float(), scores, classes, settings.iou_threshold)
    if settings.top_k >= 0:
        keep = keep[: settings.top_k]
    return keep, scores[keep]


@BOX_NMS.register()
def diou_nms(
    boxes: torch.Tensor, scores: torch.Tensor, classes: torch.Tensor, settings: NMSSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """DIoU-NMS: indices of the boxes that stay, best first, and their unchanged scores.

    Greedy NMS that drops a box if IoU - (centre distance / diagonal of the box around both)^2 is above
    the threshold: of two overlapping boxes both stay if their centres are far enough apart. For boxes
    with the same centre it is plain NMS. Distance-IoU Loss, https://arxiv.org/abs/1911.08287,
    section 3.4; in spite of its name PaddleX's `MultiClassCiouNMS` has no term for the aspect ratio.
    """
    if len(scores) == 0:
        return classes, scores

    def suppress(scores: torch.Tensor, picks: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
        diou = overlap(picks, planes).sub_(centre_distance(picks, planes))
        return scores.masked_fill_(diou > settings.iou_threshold, EMPTY)

    return pick_best_first(build_grid(boxes, scores, classes), suppress, EMPTY, settings.top_k)


@BOX_NMS.register()
def soft_nms(
    boxes: torch.Tensor, scores: torch.Tensor, classes: torch.Tensor, settings: NMSSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Soft-NMS: indices of the boxes that stay, best decayed score first, and these scores.

    When a box is picked, the score of each remaining box of its class is multiplied by
    exp(-IoU^2 / sigma); boxes at or below the score threshold are dropped. The IoU threshold is not
    used. https://arxiv.org/abs/1704.04503, the Gaussian form, exact, `top_k` included where scores
    tie. PaddleX recommends score threshold 0.01 and 300 boxes with it: settings, not changed here.
    """
    if len(scores) == 0:
        return classes, scores

    def decay(scores: torch.Tensor, picks: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
        return scores.mul_(overlap(picks, planes).square_().mul_(-1 / settings.sigma).exp_())

    grid = build_grid(boxes, scores, classes)
    return pick_best_first(grid, decay, max(settings.score_threshold, 0.0), settings.top_k)


@BOX_NMS.register()
def matrix_nms(
    boxes: torch.Tensor, scores: torch.Tensor, classes: torch.Tensor, settings: NMSSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Matrix NMS: indices of the boxes that stay, best decayed score first, and these scores.

    The score of box j of a class is multiplied by the least (1 - IoU(i, j)) / (1 - m(i)) over all
    better boxes i, m(i) being the largest IoU of i with a box better than i: what is itself
    suppressed suppresses less. No box is picked or dropped in turn. Boxes whose decayed score is
    0.05 or less are dropped. The IoU threshold is not used. SOLOv2, https://arxiv.org/abs/2003.10152,
    section 3.3, the linear form.
    Difference from PaddleX: a box exactly like a better one loses all of its score, where the formula
    of a third one like them is 0 / 0.
    """
    if len(scores) == 0:
        return classes, scores
    scores, order = scores.sort(descending=True, stable=True)
    indices, remaining = [], []
    for part in _matrix_parts(build_grid(boxes[order], scores, classes[order])):
        decayed = matrix_decay(part)
        stays = decayed > MATRIX_POST_THRESHOLD
        indices.append(order[part.index[stays]])
        remaining.append(decayed[stays])
    return best_first(torch.cat(indices), torch.cat(remaining), settings.top_k)


@dataclass
class ClassGrid:
    """Boxes of one image, a row for each class; cells left over have no size and score EMPTY.

    Attributes:
        index: (C, W) position of a box in the input.
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
    cell = row * shape[1] + column
    index = order.new_zeros(shape)
    index.view(-1)[cell] = order
    grid_scores = scores.new_full(shape, EMPTY)
    grid_scores.view(-1)[cell] = scores[order]
    planes = _planes(boxes[order])
    grid_planes = planes.new_zeros((len(planes), *shape))
    grid_planes.view(len(planes), -1)[:, cell] = planes
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


def pick_best_first(
    grid: ClassGrid, rescore: Rescore, above: float, top_k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices of the picks, best first, equals by index, and the scores they were picked with.

    Each class picks its best box; what the pick does to the scores of the others of its class is a
    function (suppress them, or lower them); repeat. A step handles one pick of every class. As many
    steps are taken as the class with the most picks needs, fewer when only the best `top_k` are
    wanted: picks of a class never get better, so a class whose next pick is worse than the k-th best
    so far is done.

    Args:
        grid: the boxes; its scores are overwritten.
        rescore: rescore(scores (C, W), picks (7, C, 1), planes (7, C, W)) gives the new scores,
            which may not be higher; cells with the score EMPTY must stay below 0.
        above: a pick's score is higher than that.
        top_k: number of picks wanted at most, -1 = all.
    """
    indices, scores = [grid.index.new_zeros(0)], [grid.scores.new_zeros(0)]
    best_so_far = scores[0]
    while top_k != 0:
        best, column = grid.scores.max(dim=1, keepdim=True)
        rows = _rows_going_on(best.flatten(), above, best_so_far, top_k)
        if len(rows) == 0:
            break
        if len(rows) < len(best):
            grid, best, column = grid.rows(rows), best[rows], column[rows]
        indices.append(grid.index.gather(1, column).flatten())
        scores.append(best.flatten())
        best_so_far = _best_scores(best_so_far, scores[-1], top_k)
        grid.scores.scatter_(1, column, EMPTY)
        picks = grid.planes.gather(2, column.expand(len(grid.planes), -1, -1))
        grid.scores = rescore(grid.scores, picks, grid.planes)
    return best_first(torch.cat(indices), torch.cat(scores), top_k)


def _rows_going_on(
    best: torch.Tensor, above: float, best_so_far: torch.Tensor, top_k: int
) -> torch.Tensor:
    goes_on = best > above
    if len(best_so_far) == top_k:
        # equal counts too: of equal scores those that come first in the input are wanted
        goes_on &= best >= best_so_far.min()
    return torch.nonzero(goes_on).flatten()


def _best_scores(so_far: torch.Tensor, new: torch.Tensor, top_k: int) -> torch.Tensor:
    if top_k < 0:
        return so_far
    scores = torch.cat([so_far, new])
    return scores.topk(min(top_k, len(scores)), sorted=False).values


def best_first(
    indices: torch.Tensor, scores: torch.Tensor, top_k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The best `top_k` of boxes (N,) with these scores, equals by index; -1 = all."""
    indices, order = indices.sort()
    scores, best = scores[order].sort(descending=True, stable=True)
    end = len(best) if top_k < 0 else top_k
    return indices[best][:end], scores[:end]


def _matrix_parts(grid: ClassGrid) -> Iterator[ClassGrid]:
    """Grids of some rows each, of about the same number of boxes and without empty cells."""
    sizes, rows = (grid.scores > EMPTY).sum(dim=1).sort(descending=True)
    widths, start = sizes.tolist(), 0
    while start < len(widths):
        width = widths[start]
        end = start + max(1, _MATRIX_PAIRS // width**2)
        part = grid.rows(rows[start:end])
        yield ClassGrid(part.index[:, :width], part.scores[:, :width], part.planes[..., :width])
        start = end


def matrix_decay(grid: ClassGrid) -> torch.Tensor:
    """Lowered scores (C, W) of boxes that are sorted by score within each row."""
    iou = overlap(grid.planes[..., :, None], grid.planes[..., None, :]).triu_(diagonal=1)
    left_over = 1 - iou.amax(dim=1)  # (C, W): 1 - m(i)
    factor = (1 - iou) / left_over.clamp_(min=EPS)[..., None]
    return grid.scores * factor.amin(dim=1)
