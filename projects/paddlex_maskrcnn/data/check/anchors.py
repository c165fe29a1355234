"""How well anchors fit the annotated boxes, and a better set where there is one.

Fit: an object's best anchor of a shape is the one whose centre is nearest, in x and in y on their
own, because the overlap of two boxes of given sizes grows as their centres come closer along either
axis. So the best IoU over all anchors of an image follows from the sizes and the position in the
grid alone, exactly, without making the anchors. Anchors stand as Detectron2's DefaultAnchorGenerator
puts them: centres at whole multiples of the stride, from 0 on (offset 0).

Search: k-means under IoU (J. Redmon, A. Farhadi, "YOLO9000", 2016, section 2), with two differences.
Anchors are all pairs of a size and a ratio, so the centres of clusters are not free: a size moves to
the geometric mean of the boxes that it fits best, a ratio likewise. And the IoU is that of the best
anchor at its position in the grid, so that with FPN a size does not end on a level too coarse for
it. After it single sizes and ratios are moved as long as that helps. Objects of each level of the pyramid
count as much as all together, so that recall is not bought from the rare ones.

Levels: with FPN there is one size a level, and it stays between 4 and 16 strides (Lin et al., "Feature
Pyramid Networks", 2017, section 4.1, has 8). Overlaps alone would put large anchors on the finest level,
where they are densest; but its features look at a small part of such an object, and from that part its
3 x 3 convolution has to tell where the whole object ends. Objects that no size in these bounds reaches
are too small or too large for the network: what helps them is another size of the images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .findings import NOTE, WARNING, Finding
from .plan import AnchorSet, Plan, ResizedBoxes, resized_boxes
from .scan import Scan
from .statistics import SIZE_BOUNDS, SIZE_NAMES

CLEARLY = 0.05  # rise of the recall at IoU 0.7 or 0.5 that makes a set worth naming
_LEAST_RECALL = 0.9  # at IoU 0.5; below it the finding is a warning

_BLOCK = 20000  # boxes compared at once, for the memory it takes
_PADDED_TO = 32  # the image's sides are filled up to a multiple of it

_MOST_BOXES = 4000  # that the search looks at, drawn at random
_LEAST_BOXES = 20  # of a size, for its recall to mean something
_ROUNDS = 12
_STEPS = (0.8, 0.9, 1.1, 1.25)
_LEAST_STRIDES, _USUAL_STRIDES, _MOST_STRIDES = 4.0, 8.0, 16.0  # size over stride, with FPN
_STARTS = (4.0, 6.0, 8.0, 12.0)  # likewise
_OUT_OF_REACH = 0.1  # share of objects from which the size of images is worth a word
_ROUND_SIDE = 32  # pixels, of a size of images that is named
_LEAST_GAIN = 1e-4  # of a step of the search, above rounding


@dataclass(frozen=True)
class AnchorRow:
    """Recall of some boxes.

    Attributes:
        name: which boxes.
        boxes: how many.
        before: recall at IoU 0.5 and 0.7, and mean best IoU, of the anchors in use.
        after: likewise of those that fit better, None without such.
    """

    name: str
    boxes: int
    before: tuple[float, float, float]
    after: tuple[float, float, float] | None


@dataclass(frozen=True)
class AnchorReport:
    """Anchors in use and, where some fit clearly better, these.

    Attributes:
        used: the anchors in use.
        better: chosen on the first part's boxes; None where none fit clearly better.
        rows: all boxes of each part, then by size, then by level of the pyramid.
        short_side: of the images, pixels, at which objects that are too small or too large for the
            levels would be within reach; None where few are.
    """

    used: AnchorSet
    better: AnchorSet | None
    rows: list[AnchorRow]
    short_side: int | None = None


def anchor_report(scans: list[Scan], plan: Plan, seed: int = 0) -> AnchorReport:
    """Recall of the anchors, and a better set looked for on the first part."""
    boxes = [resized_boxes(scan, plan)[0] for scan in scans]
    better = better_anchors(boxes[0], plan.anchors, seed)
    rows = [
        _row(f"{scan.name}: all", resized, plan.anchors, better)
        for scan, resized in zip(scans, boxes, strict=True)
    ]
    groups = list(zip(SIZE_NAMES, _by_number(_size_groups(boxes[0]), len(SIZE_NAMES)), strict=True))
    if plan.anchors.with_fpn:
        groups += zip(_level_names(plan.anchors), _by_level(boxes[0], plan.anchors), strict=True)
    for name, chosen in groups:
        if len(chosen):
            row = boxes[0].some(chosen)
            rows.append(_row(f"{scans[0].name}: {name}", row, plan.anchors, better))
    return AnchorReport(plan.anchors, better, rows, _short_side(boxes[0], plan.anchors))


def anchor_finding(report: AnchorReport) -> list[Finding]:
    """A statement when other anchors would fit clearly better, or those in use fit badly."""
    before, after = report.rows[0].before, report.rows[0].after
    title = (
        f"anchors reach IoU 0.5 with {before[0]:.0%} and 0.7 with {before[1]:.0%} of the objects"
    )
    level = WARNING if before[0] < _LEAST_RECALL else NOTE
    remedies = [_side_in_words(report.short_side)] if report.short_side else []
    if bad := misplaced(report.used):
        listed = ", ".join(f"{size:g} on stride {stride:g}" for size, stride in bad)
        title += f"; sizes far from {_LEAST_STRIDES:g} to {_MOST_STRIDES:g} strides: {listed}"
        level = WARNING
    if report.better is not None and after is not None:
        sizes, ratios = _yaml(report.better.sizes), _yaml(report.better.ratios)
        remedies.append(
            f"model.anchor_sizes: {sizes}, model.aspect_ratios: {ratios} reach {after[0]:.0%} and "
            f"{after[1]:.0%} (train from pretrained backbones; whole detectors expect their own)"
        )
    if level == NOTE and not remedies:
        return []
    if not remedies:
        level = level if bad else NOTE
        remedies = ["no set of the same form is clearly better; larger images help small objects"]
    return [Finding("anchors", level, title, "; or ".join(remedies), is_single=True)]


def misplaced(anchors: AnchorSet) -> list[tuple[float, float]]:
    """(size, stride) of the sizes that are too large or too small for their level; none without FPN."""
    if not anchors.with_fpn:
        return []
    pairs = list(zip(anchors.sizes, anchors.strides.tolist(), strict=True))
    least, most = _LEAST_STRIDES, _MOST_STRIDES
    return [(size, stride) for size, stride in pairs if not least <= size / stride <= most]


def _side_in_words(short_side: int) -> str:
    return (
        f"resize images to another size, which brings most objects into the reach of the levels: about "
        f"short_size {short_side} of ResizeByShort, with a max_size to match"
    )


def _short_side(boxes: ResizedBoxes, anchors: AnchorSet) -> int | None:
    """The short side of images at which most objects are within reach of the levels; None if they are."""
    if not anchors.with_fpn or len(boxes) < _LEAST_BOXES:
        return None
    size, _ = _size_and_ratio(boxes)
    least = _LEAST_STRIDES * anchors.strides[0] / np.sqrt(2)  # IoU 0.5 with the smallest anchor
    most = _MOST_STRIDES * anchors.strides[-1] * np.sqrt(2)
    low, high = np.quantile(size, [_OUT_OF_REACH, 1 - _OUT_OF_REACH])
    within, too_different = low >= least and high <= most, high / low > most / least
    if within or too_different:
        return None
    factor = least / low if low < least else most / high
    side = float(np.median(boxes.frames.min(axis=1))) * factor
    rounded = np.ceil(side / _ROUND_SIDE) if factor > 1 else max(1, side // _ROUND_SIDE)
    return int(rounded) * _ROUND_SIDE


def _row(name: str, boxes: ResizedBoxes, used: AnchorSet, better: AnchorSet | None) -> AnchorRow:
    after = None if better is None else _fit(boxes, better)
    return AnchorRow(name, len(boxes), _fit(boxes, used), after)


def _fit(boxes: ResizedBoxes, anchors: AnchorSet) -> tuple[float, float, float]:
    overlaps = best_overlap(boxes, anchors)
    mean = float(overlaps.mean()) if len(overlaps) else 1.0
    return recall(overlaps, 0.5), recall(overlaps, 0.7), mean


def _yaml(values: tuple[float, ...]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"


def best_overlap(boxes: ResizedBoxes, anchors: AnchorSet) -> np.ndarray:
    """(N,) IoU of each box and its best anchor."""
    blocks = [
        best_overlaps(boxes.some(np.arange(first, min(first + _BLOCK, len(boxes)))), anchors)
        for first in range(0, len(boxes), _BLOCK)
    ]
    return np.concatenate([block.max(axis=(1, 2)) for block in blocks] or [np.empty(0)])


def best_overlaps(boxes: ResizedBoxes, anchors: AnchorSet) -> np.ndarray:
    """(N, S, R) IoU of each box and the best anchor of each size and shape, anywhere in the grid."""
    shapes = anchors.shapes()
    strides = anchors.strides[None, :, None]
    sides = boxes.boxes[:, 2:]
    centres = (boxes.boxes[:, :2] + sides / 2)[:, None]
    padded = np.ceil(boxes.frames[:, ::-1] / _PADDED_TO) * _PADDED_TO
    grid = np.ceil(padded[:, None] / strides)  # (N, S, 2) number of grid points along x and y
    nearest = np.clip(np.round(centres / strides), 0, grid - 1) * strides
    apart = np.abs(nearest - centres)[:, :, None]  # (N, S, 1, 2)
    box, anchor = sides[:, None, None], shapes[None]
    shared = np.minimum((box + anchor) / 2 - apart, np.minimum(box, anchor))
    overlap = np.clip(shared, 0, None).prod(axis=-1)
    return overlap / (box.prod(axis=-1) + anchor.prod(axis=-1) - overlap)


def recall(overlaps: np.ndarray, threshold: float) -> float:
    """Share of boxes whose best anchor reaches this IoU; 1 when there is no box."""
    return float((overlaps >= threshold).mean()) if len(overlaps) else 1.0


def better_anchors(boxes: ResizedBoxes, anchors: AnchorSet, seed: int = 0) -> AnchorSet | None:
    """A set of as many sizes and ratios that fits clearly better, None if there is none.

    Args:
        boxes: all of them, as the network sees them.
        anchors: those in use.
        seed: which boxes are looked at where there are many.

    Returns:
        with FPN a set whose sizes suit the strides of their levels, also where it only stands in for
        one whose sizes do not.
    """
    if len(boxes) < _LEAST_BOXES:
        return None
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(boxes))[:_MOST_BOXES]
    sample = boxes.some(np.sort(rows))
    starts = _starts(sample, anchors)
    candidates = [*starts, *(_clustered(sample, start) for start in starts)]
    best = max(candidates, key=lambda candidate: _worth(sample, candidate))
    best = _tidy(_usual_where_idle(sample, _climbed(sample, best)))
    is_better = bool(misplaced(anchors)) or _is_clearly_better(boxes, best, anchors)
    return best if is_better else None


def _is_clearly_better(boxes: ResizedBoxes, new: AnchorSet, old: AnchorSet) -> bool:
    before, after = best_overlap(boxes, old), best_overlap(boxes, new)
    gains = [recall(after, at) - recall(before, at) for at in (0.7, 0.5)]
    losses = [recall(before[rows], 0.5) - recall(after[rows], 0.5) for rows in _groups(boxes, old)]
    small = CLEARLY / 5
    return max(gains) >= CLEARLY and min(gains) >= -small and max(losses, default=0) <= small


def _worth(boxes: ResizedBoxes, anchors: AnchorSet) -> float:
    """Overall, and on average of the levels: no size of objects may pay for another."""
    overlaps = best_overlap(boxes, anchors)
    by_group = [_quality(overlaps[rows]) for rows in _groups(boxes, anchors)]
    return _quality(overlaps) + float(np.mean(by_group or [0.0]))


def _quality(overlaps: np.ndarray) -> float:
    return recall(overlaps, 0.7) + recall(overlaps, 0.5) + float(overlaps.mean())


def _groups(boxes: ResizedBoxes, anchors: AnchorSet) -> list[np.ndarray]:
    """Rows of the boxes of each level, without FPN of each size, where there are enough of them."""
    if anchors.with_fpn:
        groups = _by_level(boxes, anchors)
    else:
        groups = _by_number(_size_groups(boxes), len(SIZE_NAMES))
    return [rows for rows in groups if len(rows) >= _LEAST_BOXES]


def _by_number(numbers: np.ndarray, count: int) -> list[np.ndarray]:
    return [np.flatnonzero(numbers == k) for k in range(count)]


def _by_level(boxes: ResizedBoxes, anchors: AnchorSet) -> list[np.ndarray]:
    """Rows of the boxes of each level: the one of whose usual size they are the nearest in ratio."""
    size, _ = _size_and_ratio(boxes)
    return _by_number(np.digitize(size, _level_bounds(anchors)), len(anchors.strides))


def _level_bounds(anchors: AnchorSet) -> np.ndarray:
    """Sizes between the levels, pixels."""
    usual = _USUAL_STRIDES * anchors.strides
    return np.sqrt(usual[1:] * usual[:-1])


def _level_names(anchors: AnchorSet) -> list[str]:
    bounds = [f"{bound:.0f}" for bound in _level_bounds(anchors)]
    ranges = [f"up to {bounds[0]}", *map(" to ".join, pairwise(bounds))]
    ranges.append(f"from {bounds[-1]}")
    strides = [f"{stride:g}" for stride in anchors.strides]
    return [
        f"stride {stride}, {words} pixels" for stride, words in zip(strides, ranges, strict=True)
    ]


def _size_groups(boxes: ResizedBoxes) -> np.ndarray:
    return np.digitize(boxes.boxes[:, 2:].prod(axis=1), SIZE_BOUNDS)


def _starts(boxes: ResizedBoxes, anchors: AnchorSet) -> list[AnchorSet]:
    """The set in use as far as its levels allow, the boxes' quantiles, and multiples of the strides."""
    size, ratio = _size_and_ratio(boxes)
    levels = len(anchors.sizes)
    quantiles = np.quantile(size, (np.arange(levels) + 0.5) / levels)
    count = len(anchors.ratios)
    ratios = np.quantile(ratio, (np.arange(count) + 0.5) / count)
    starts = [list(anchors.sizes), quantiles.tolist()]
    if anchors.with_fpn:
        starts += [(factor * anchors.strides).tolist() for factor in _STARTS]
    sets = [_sorted(sizes, ratios.tolist(), anchors.with_fpn) for sizes in starts]
    return [_sorted(anchors.sizes, anchors.ratios, anchors.with_fpn), *sets]


def _size_and_ratio(boxes: ResizedBoxes) -> tuple[np.ndarray, np.ndarray]:
    width, height = np.maximum(boxes.boxes[:, 2:], 1e-3).T
    return np.sqrt(width * height), height / width


def _clustered(boxes: ResizedBoxes, anchors: AnchorSet) -> AnchorSet:
    size, ratio = _size_and_ratio(boxes)
    for _ in range(_ROUNDS):
        overlaps = best_overlaps(boxes, anchors).reshape(len(boxes), -1)
        by_size, by_ratio = np.divmod(overlaps.argmax(axis=1), len(anchors.ratios))
        sizes = _means(size, by_size, anchors.sizes)
        ratios = _means(ratio, by_ratio, anchors.ratios)
        moved = _sorted(sizes, ratios, anchors.with_fpn)
        if moved == anchors:
            break
        anchors = moved
    return anchors


def _means(values: np.ndarray, cluster: np.ndarray, old: tuple[float, ...]) -> list[float]:
    """The geometric mean of each cluster; an empty cluster stays where it was."""
    return [
        float(np.exp(np.log(values[cluster == k]).mean())) if (cluster == k).any() else before
        for k, before in enumerate(old)
    ]


def _climbed(boxes: ResizedBoxes, anchors: AnchorSet) -> AnchorSet:
    """Single sizes and ratios moved as long as that helps."""
    best = _worth(boxes, anchors)
    for _ in range(_ROUNDS):
        before = best
        for moved in _neighbours(anchors):
            worth = _worth(boxes, moved)
            if worth > best + _LEAST_GAIN:
                anchors, best = moved, worth
                break
        if best == before:
            break
    return anchors


def _neighbours(anchors: AnchorSet) -> list[AnchorSet]:
    sizes, ratios = list(anchors.sizes), list(anchors.ratios)
    neighbours = []
    for step in _STEPS:
        for k in range(len(sizes)):
            moved = [*sizes[:k], sizes[k] * step, *sizes[k + 1 :]]
            neighbours.append(_sorted(moved, ratios, anchors.with_fpn))
        for k in range(len(ratios)):
            moved = [*ratios[:k], ratios[k] * step, *ratios[k + 1 :]]
            neighbours.append(_sorted(sizes, moved, anchors.with_fpn))
    return neighbours


def _usual_where_idle(boxes: ResizedBoxes, anchors: AnchorSet) -> AnchorSet:
    """Levels whose size serves no box in particular get the usual one."""
    if not anchors.with_fpn:
        return anchors
    worth = _worth(boxes, anchors)
    for k, size in enumerate((_USUAL_STRIDES * anchors.strides).tolist()):
        sizes = (*anchors.sizes[:k], size, *anchors.sizes[k + 1 :])
        moved = AnchorSet(sizes, anchors.ratios, anchors.with_fpn)
        if list(sizes) == sorted(sizes) and _worth(boxes, moved) >= worth - _LEAST_GAIN:
            anchors = moved
    return anchors


def _sorted(sizes: Sequence[float], ratios: Sequence[float], with_fpn: bool) -> AnchorSet:
    """A set in order; with FPN each size as far as the stride of its level allows."""
    chosen = AnchorSet(tuple(sorted(sizes)), tuple(sorted(ratios)), with_fpn)
    if not with_fpn:
        return chosen
    strides = chosen.strides
    bounded = np.clip(chosen.sizes, _LEAST_STRIDES * strides, _MOST_STRIDES * strides)
    return AnchorSet(tuple(bounded.tolist()), chosen.ratios, with_fpn)


def _tidy(anchors: AnchorSet) -> AnchorSet:
    """Whole pixels, and ratios of two digits."""
    sizes = [max(1, round(size)) for size in anchors.sizes]
    ratios = [round(ratio, 2) for ratio in anchors.ratios]
    return _sorted(sizes, ratios, anchors.with_fpn)
