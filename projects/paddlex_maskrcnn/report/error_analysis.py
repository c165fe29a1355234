"""COCO's error analysis as pictures: how precision grows when one kind of error after the other is forgiven.

Origin: the `analyze` function of COCO's evaluation (cocodataset.org/#detection-eval) and PaddleX's
`coco_error_analysis`, its arguments and file names. Differences: the mean over all classes leaves out
those without objects of the size (PaddleX counts them as 0); a data set without super-categories has
every class in its own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..metrics.average_precision import AREAS
from ..metrics.matching import RECALLS, curves, match
from ..metrics.overlaps import find_overlaps
from ..metrics.results import ResultRows
from ..metrics.truth import Truth
from .eval_details import read_eval_details
from .figures import file_name, new_figure, readable_names, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = ("C75", "C50", "Loc", "Sim", "Oth", "BG", "FN")
MEANING = {
    "C75": "IoU 0.75",
    "C50": "IoU 0.5",
    "Loc": "bad places forgiven (IoU 0.1)",
    "Sim": "similar classes forgiven",
    "Oth": "all classes forgiven",
    "BG": "background forgiven",
    "FN": "missed objects forgiven",
}
_AREA_NAMES = ("allarea", "small", "medium", "large")
_COLORS = ("#ffffff", "#dfe7f5", "#4f82bd", "#bf4f4c", "#5ce561", "#80639f", "#ff9900")


def coco_error_analysis(
    eval_details_file: str | os.PathLike[str] | dict[str, Any] | None = None,
    gt: Any = None,
    pred_bbox: Sequence[Any] | None = None,
    pred_mask: Sequence[Any] | None = None,
    save_dir: str | os.PathLike[str] = "./output",
) -> None:
    """Write curves of every class and of all together, for all sizes, small, medium and large.

    Files: `save_dir/bbox/bbox-<class>-<size>.png` and `save_dir/segm/segm-<class>-<size>.png`, with
    `allclass` for all classes and `allarea` for all sizes.

    Args:
        eval_details_file: a file that holds what `evaluate(return_details=True)` returned, or that
            itself; if None, gt and pred_bbox or pred_mask are needed.
        gt, pred_bbox, pred_mask: `gt`, `bbox` and `mask` of the returned details.
        save_dir: folder, created when needed.

    Raises:
        ValueError: when something is missing, empty or does not belong together.
    """
    details = read_eval_details(eval_details_file, gt, pred_bbox, pred_mask)
    names = _names_of_files(details.truth.names)
    for kind, rows in details.results.items():
        precision = error_curves(details.truth, rows, kind)
        with_all = np.concatenate([precision, _mean(precision)[:, :, None]], axis=2)
        titles = [*details.truth.names, "allclass"]
        for k, (title, name) in enumerate(zip(titles, [*names, "allclass"], strict=True)):
            for a, area in enumerate(_AREA_NAMES):
                text = f"{kind}-{title}-{area}"
                with readable_names():
                    figure = error_figure(with_all[:, :, k, a], text)
                    save(figure, Path(save_dir) / kind / f"{kind}-{name}-{area}.png", dpi=120)


def error_curves(truth: Truth, rows: ResultRows, kind: str) -> np.ndarray:
    """(7, 101, K, 4) precision at recall, of each step, class and size; NaN without objects."""
    overlaps = find_overlaps(truth, rows, kind, others_as_crowd=True)
    num_classes = len(truth.names)
    others = ~np.eye(num_classes, dtype=bool)
    groups = np.array(
        [
            one if one.lower() not in ("", "none") else k
            for k, one in enumerate(truth.supercategories)
        ],
        dtype=object,
    )
    similar = others & (groups[:, None] == groups[None, :])
    found = np.empty((len(STEPS), len(RECALLS), num_classes, len(AREAS)))
    for a, area in enumerate(AREAS.values()):
        of_steps = (
            match(overlaps, 0.75, area),
            match(overlaps, 0.5, area),
            match(overlaps, 0.1, area),
            match(overlaps, 0.1, area, similar),
            match(overlaps, 0.1, area, others),
        )
        for step, matches in enumerate(of_steps):
            columns = [one.at_recalls()[0] for one in curves(overlaps, matches)]
            found[step, :, :, a] = np.stack(columns, axis=1)
    defined = ~np.isnan(found[4])
    found[5] = np.where(defined, found[4] > 0, np.nan)
    found[6] = np.where(defined, 1.0, np.nan)
    return found


def error_figure(precision: np.ndarray, title: str) -> Figure:
    """Areas between the steps.

    Args:
        precision: (7, 101), NaN without objects.
    """
    figure = new_figure(6.4, 4.8)
    axes = figure.subplots()
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1), title=title)
    if np.isnan(precision).any():
        axes.text(0.5, 0.5, "no objects of this size", ha="center", va="center")
        return figure
    below = np.zeros(precision.shape[1])
    for name, color, line in zip(STEPS, _COLORS, precision, strict=True):
        label = f"{line.mean():.3f}  {name}: {MEANING[name]}"
        # a later step forgives more, but matching is greedy and may lose a little
        top = np.maximum(below, line)
        axes.fill_between(RECALLS, below, top, color=color, label=label)
        axes.plot(RECALLS, top, color="black", lw=0.5)
        below = top
    axes.legend(loc="lower left", fontsize="small", framealpha=0.9)
    return figure


def _mean(precision: np.ndarray) -> np.ndarray:
    """Over the classes that have objects of the size; NaN where none has."""
    defined = ~np.isnan(precision)
    total = np.where(defined, precision, 0.0).sum(axis=2)
    with np.errstate(invalid="ignore"):
        return total / defined.sum(axis=2)


def _names_of_files(names: Sequence[str]) -> list[str]:
    """Different for different classes."""
    found: list[str] = []
    for name in map(file_name, names):
        count = sum(other == name or other.startswith(f"{name}~") for other in found)
        found.append(f"{name}~{count + 1}" if count else name)
    return found
