"""Precision-recall curves as pictures.

Origin: PaddleX's `draw_pr_curve`, its arguments and file names. Differences: one curve a class with its
AP, and the mean of all; the areas under the curves are COCO's AP at that IoU (tested).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..metrics.matching import RECALLS, Curve, curves, match
from ..metrics.overlaps import LEAST, find_overlaps
from ..metrics.results import ResultRows
from ..metrics.truth import Truth
from .eval_details import read_eval_details
from .figures import new_figure, readable_names, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NAMED = 15  # curves with a name in the legend


def draw_pr_curve(
    eval_details_file: str | os.PathLike[str] | dict[str, Any] | None = None,
    gt: Any = None,
    pred_bbox: Sequence[Any] | None = None,
    pred_mask: Sequence[Any] | None = None,
    iou_thresh: float = 0.5,
    save_dir: str | os.PathLike[str] = "./",
) -> None:
    """Write `bbox_pr_curve(iou-0.5).png` and `segm_pr_curve(iou-0.5).png`, of what is given.

    Left precision, right the score, both over recall; a curve a class.

    Args:
        eval_details_file: a file that holds what `evaluate(return_details=True)` returned, or that
            itself; if None, gt and pred_bbox or pred_mask are needed.
        gt, pred_bbox, pred_mask: `gt`, `bbox` and `mask` of the returned details.
        iou_thresh: overlap from which a detection finds an object, 0.1 to 1.
        save_dir: folder, created when needed.

    Raises:
        ValueError: when something is missing, empty or does not belong together.
    """
    if not LEAST <= iou_thresh <= 1:
        raise ValueError(f"iou_thresh is {iou_thresh!r}; allowed: {LEAST} to 1")
    details = read_eval_details(eval_details_file, gt, pred_bbox, pred_mask)
    for kind, rows in details.results.items():
        found = class_curves(details.truth, rows, kind, iou_thresh)
        figure = pr_figure(found, details.truth.names, f"{kind}, IoU {iou_thresh:g}")
        with readable_names():
            save(figure, Path(save_dir) / f"{kind}_pr_curve(iou-{iou_thresh:g}).png")


def class_curves(truth: Truth, rows: ResultRows, kind: str, iou: float) -> list[Curve]:
    """One curve a class, of all detections: the model has left `keep_top_k` of an image."""
    overlaps = find_overlaps(truth, rows, kind, own_class_first=True, least=iou)
    return curves(overlaps, match(overlaps, iou))


def pr_figure(found: Sequence[Curve], names: Sequence[str], title: str) -> Figure:
    """Precision and score over recall; classes without objects have no line."""
    with readable_names():
        figure = new_figure(10, 4.4)
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        drawn = [
            (name, *one.at_recalls())
            for name, one in zip(names, found, strict=True)
            if one.num_objects
        ]
        for name, precision, scores in sorted(drawn, key=lambda one: -one[1].mean()):
            (line,) = left.plot(RECALLS, precision, lw=1.2, label=f"{precision.mean():.3f}  {name}")
            reached = precision > 0
            right.plot(RECALLS[reached], scores[reached], lw=1.2, color=line.get_color())
        if len(drawn) > 1:
            mean = np.mean([precision for _, precision, _ in drawn], axis=0)
            left.plot(RECALLS, mean, lw=2.4, color="black", label=f"{mean.mean():.3f}  mean")
        for axes, what in ((left, "precision"), (right, "score")):
            axes.set(xlabel="recall", ylabel=what, xlim=(0, 1), ylim=(0, 1.02))
            axes.grid(alpha=0.3)
        figure.suptitle(title)
        if drawn:
            _legend(figure, left)
    return figure


def _legend(figure: Figure, axes: Any) -> None:
    lines, texts = axes.get_legend_handles_labels()
    if len(lines) > _MOST_NAMED:  # the best, the worst and the mean
        half = _MOST_NAMED // 2
        lines, texts = lines[:half] + lines[-half - 1 :], texts[:half] + texts[-half - 1 :]
    figure.legend(lines, texts, title="AP", loc="outside right upper", fontsize="small")
