"""Picking boxes best first, in all classes at once.

What: each class picks its best box; what the pick does to the scores of the others of its class is
a function (suppress them, or lower them); repeat. Both greedy NMS and soft-NMS are this.
How: a step handles one pick of every class. As many steps are taken as the class with the most
picks needs, fewer when only the best `top_k` are wanted: picks of a class never get better, so a
class whose next pick is worse than the k-th best so far is done.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from .class_grid import EMPTY, ClassGrid

Rescore = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def pick_best_first(
    grid: ClassGrid, rescore: Rescore, above: float, top_k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices of the picks, best first, equals by index, and the scores they were picked with.

    Args:
        grid: the boxes; its scores are overwritten.
        rescore: rescore(scores (C, W), picks (7, C, 1), planes (7, C, W)) gives the new scores,
            which may not be higher; places with the score EMPTY must stay below 0.
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
