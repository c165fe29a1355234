"""A better set of anchors for some boxes.

What: k-means under IoU (J. Redmon, A. Farhadi, "YOLO9000", 2016, section 2), with two differences.
Anchors are all pairs of a size and a ratio, so the centres of clusters are not free: a size moves to
the geometric mean of the boxes that it fits best, a ratio likewise. And the IoU is that of the best
anchor in its place in the grid, so that with FPN a size does not end on a level too coarse for it.
After it single sizes and ratios are moved as long as that helps. Large objects are rare in most data;
they count as much as small ones together, so that recall is not bought from them.
"""

from collections.abc import Sequence

import numpy as np

from .anchors import (
    SIZE_BOUNDS,
    AnchorSet,
    ResizedBoxes,
    best_overlap,
    best_overlaps,
    recall,
)

_MOST_BOXES = 4000  # that the search looks at, drawn at random
_LEAST_BOXES = 20
_ROUNDS = 12
_STEPS = (0.8, 0.9, 1.1, 1.25)
_STARTS = (2.0, 4.0, 6.0, 8.0)  # size over stride
CLEARLY = 0.05  # rise of the recall at IoU 0.7 or 0.5 that makes a set worth naming


def better_anchors(found: ResizedBoxes, anchors: AnchorSet, seed: int = 0) -> AnchorSet | None:
    """A set of as many sizes and ratios that fits clearly better, None if there is none.

    Args:
        found: all boxes, as the network sees them.
        anchors: those in use.
        seed: which boxes are looked at where there are many.
    """
    if len(found) < _LEAST_BOXES:
        return None
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(found))[:_MOST_BOXES]
    sample = found.some(np.sort(rows))
    ranked = [anchors, *(_clustered(sample, start) for start in _starts(sample, anchors))]
    best = max(ranked, key=lambda one: _worth(sample, one))
    best = _tidy(_climbed(sample, best))
    return best if _is_clearly_better(found, best, anchors) else None


def _is_clearly_better(found: ResizedBoxes, new: AnchorSet, old: AnchorSet) -> bool:
    before, after = best_overlap(found, old), best_overlap(found, new)
    gains = [recall(after, at) - recall(before, at) for at in (0.7, 0.5)]
    losses = [recall(before[rows], 0.5) - recall(after[rows], 0.5) for rows in _by_size(found)]
    small = CLEARLY / 5
    return max(gains) >= CLEARLY and min(gains) >= -small and max(losses, default=0) <= small


def _worth(found: ResizedBoxes, anchors: AnchorSet) -> float:
    """Overall, and on average of small, medium and large objects: no size may pay for another."""
    overlaps = best_overlap(found, anchors)
    by_size = [_quality(overlaps[rows]) for rows in _by_size(found)]
    return _quality(overlaps) + float(np.mean(by_size or [0.0]))


def _quality(overlaps: np.ndarray) -> float:
    return recall(overlaps, 0.7) + recall(overlaps, 0.5) + float(overlaps.mean())


def _by_size(found: ResizedBoxes) -> list[np.ndarray]:
    """Rows of small, medium and large boxes, where there are enough of them."""
    group = np.digitize(found.boxes[:, 2:].prod(axis=1), SIZE_BOUNDS)
    groups = [np.flatnonzero(group == k) for k in range(len(SIZE_BOUNDS) + 1)]
    return [rows for rows in groups if len(rows) >= _LEAST_BOXES]


def _starts(found: ResizedBoxes, anchors: AnchorSet) -> list[AnchorSet]:
    """The set in use, the quantiles of the boxes, and sizes in fixed relations to the strides."""
    size, ratio = _size_and_ratio(found)
    levels = len(anchors.sizes)
    quantiles = np.quantile(size, (np.arange(levels) + 0.5) / levels)
    count = len(anchors.ratios)
    ratios = np.quantile(ratio, (np.arange(count) + 0.5) / count)
    starts = [list(anchors.sizes), quantiles.tolist()]
    if anchors.with_fpn:
        starts += [(factor * anchors.strides).tolist() for factor in _STARTS]
    return [_sorted(sizes, ratios.tolist(), anchors.with_fpn) for sizes in starts]


def _size_and_ratio(found: ResizedBoxes) -> tuple[np.ndarray, np.ndarray]:
    width, height = np.maximum(found.boxes[:, 2:], 1e-3).T
    return np.sqrt(width * height), height / width


def _clustered(found: ResizedBoxes, anchors: AnchorSet) -> AnchorSet:
    size, ratio = _size_and_ratio(found)
    for _ in range(_ROUNDS):
        overlaps = best_overlaps(found, anchors).reshape(len(found), -1)
        by_size, by_ratio = np.divmod(overlaps.argmax(axis=1), len(anchors.ratios))
        sizes = _means(size, by_size, anchors.sizes)
        ratios = _means(ratio, by_ratio, anchors.ratios)
        moved = _sorted(sizes, ratios, anchors.with_fpn)
        if moved == anchors:
            break
        anchors = moved
    return anchors


def _means(values: np.ndarray, cluster: np.ndarray, old: tuple[float, ...]) -> list[float]:
    """The geometric mean of each cluster; an empty one stays where it was."""
    return [
        float(np.exp(np.log(values[cluster == k]).mean())) if (cluster == k).any() else before
        for k, before in enumerate(old)
    ]


def _climbed(found: ResizedBoxes, anchors: AnchorSet) -> AnchorSet:
    """Single sizes and ratios moved as long as that helps."""
    best = _worth(found, anchors)
    for _ in range(_ROUNDS):
        before = best
        for moved in _neighbours(anchors):
            worth = _worth(found, moved)
            if worth > best + 1e-4:
                anchors, best = moved, worth
                break
        if best == before:
            break
    return anchors


def _neighbours(anchors: AnchorSet) -> list[AnchorSet]:
    sizes, ratios = list(anchors.sizes), list(anchors.ratios)
    found = []
    for step in _STEPS:
        for k in range(len(sizes)):
            moved = [*sizes[:k], sizes[k] * step, *sizes[k + 1 :]]
            found.append(_sorted(moved, ratios, anchors.with_fpn))
        for k in range(len(ratios)):
            moved = [*ratios[:k], ratios[k] * step, *ratios[k + 1 :]]
            found.append(_sorted(sizes, moved, anchors.with_fpn))
    return found


def _sorted(sizes: Sequence[float], ratios: Sequence[float], with_fpn: bool) -> AnchorSet:
    return AnchorSet(tuple(sorted(sizes)), tuple(sorted(ratios)), with_fpn)


def _tidy(anchors: AnchorSet) -> AnchorSet:
    """Whole pixels, and ratios of two digits."""
    sizes = [max(1, round(size)) for size in anchors.sizes]
    ratios = [round(ratio, 2) for ratio in anchors.ratios]
    return _sorted(sizes, ratios, anchors.with_fpn)
