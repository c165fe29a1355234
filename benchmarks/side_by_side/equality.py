"""Whether two contestants did the same work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .record import Check

Detections = Mapping[str, np.ndarray]

# Relative, of a loss. Sums in another order round otherwise, and a score that rounds otherwise may
# exchange one of the regions that are drawn, which moves a loss by more than rounding does.
TOLERANCE = 1e-2
# torchvision defines these two otherwise: beta of the box loss, targets of the masks not rounded
OTHERWISE_DEFINED = ("loss_bbox", "loss_mask")


def check_losses(
    name: str,
    ours: Mapping[str, float],
    theirs: Mapping[str, float],
    *,
    tolerance: float = TOLERANCE,
    leave_out: Sequence[str] = (),
) -> Check:
    """Losses of the first step, part by part.

    Args:
        tolerance: largest relative difference that passes.
        leave_out: parts that the two define in different ways; shown, not judged.
    """
    if ours.keys() != theirs.keys():
        return Check(name, False, f"{sorted(ours)} against {sorted(theirs)}")
    apart = {key: abs(ours[key] - theirs[key]) / max(abs(theirs[key]), 1e-12) for key in ours}
    judged = {key: value for key, value in apart.items() if key not in leave_out}
    worst = max(judged, key=lambda key: judged[key])
    # not a number is not below anything
    passed = all(value <= tolerance for value in judged.values())
    text = f"{len(judged)} losses differ by at most {judged[worst]:.1g} of themselves ({worst})"
    if passed and judged[worst] == 0:
        text = f"{len(judged)} losses equal bit for bit"
    shown = [f"{key} by {apart[key]:.1g}" for key in leave_out]
    return Check(name, passed, text + (f"; defined otherwise: {', '.join(shown)}" if shown else ""))


def check_detections(
    name: str,
    ours: Sequence[Detections],
    theirs: Sequence[Detections],
    *,
    pixels: float = 0.05,
    scores: float = 1e-3,
    mask_share: float = 1e-3,
) -> Check:
    """Detections of some images: each has its counterpart of the same class, box and score.

    Their order may differ where scores round differently, and so may the last ones, at the score
    threshold or at the limit of detections an image.

    Args:
        ours, theirs: of each image `boxes` (N, 4), `scores` (N,), `classes` (N,) and, if compared,
            `masks` (N, H, W) of 0 and 1.
        pixels, scores: largest difference that passes.
        mask_share: largest share of pixels that may differ, of those in one mask or the other.
    """
    total = sum(len(image["scores"]) for image in ours)
    if not total:
        return Check(name, False, "no detections at all, so that nothing was compared")
    box = score = share = 0.0
    alone: list[float] = []  # how far a score without counterpart is above the last one
    for a, b in zip(ours, theirs, strict=True):
        left, right = _counterparts(a, b, pixels)
        box = max(box, _apart(a["boxes"][left], b["boxes"][right]))
        score = max(score, _apart(a["scores"][left], b["scores"][right]))
        share = max(share, _mask_share(a, b, left, right))
        alone += [*_above_last(a, left), *_above_last(b, right)]
    passed = score <= scores and share <= mask_share and all(above <= scores for above in alone)
    text = f"{total} detections, boxes within {box:.2g} pixels, scores within {score:.1g}"
    text += f", {share:.2g} of mask pixels differ" if "masks" in ours[0] else ""
    text += f", {len(alone)} without counterpart" if alone else ""
    text += f", up to {max(alone):.2g} above the last score" if alone else ""
    if passed and box == score == share == 0 and not alone:
        text = f"{total} detections equal bit for bit"
    return Check(name, passed, text)


def _counterparts(a: Detections, b: Detections, pixels: float) -> tuple[np.ndarray, np.ndarray]:
    """Places in both of detections of one class whose boxes are within so many pixels."""
    left, right = [], []
    free = np.ones(len(b["scores"]), bool)
    for index in range(len(a["scores"])):
        apart = np.abs(b["boxes"] - a["boxes"][index]).max(axis=1, initial=0.0)
        apart[~free | (b["classes"] != a["classes"][index])] = np.inf
        if len(apart) and apart.min() <= pixels:
            left.append(index)
            right.append(int(apart.argmin()))
            free[right[-1]] = False
    return np.array(left, int), np.array(right, int)


def _above_last(detections: Detections, matched: np.ndarray) -> list[float]:
    """How far each score that is not matched is above the smallest one."""
    others = np.delete(detections["scores"], matched)
    return (others - detections["scores"].min()).tolist() if len(others) else []


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(np.asarray(a, np.float64) - b).max()) if len(a) else 0.0


def _mask_share(a: Detections, b: Detections, left: np.ndarray, right: np.ndarray) -> float:
    if "masks" not in a or not len(left):
        return 0.0
    first, second = np.asarray(a["masks"], bool)[left], np.asarray(b["masks"], bool)[right]
    return float((first != second).sum() / max(1, (first | second).sum()))
