"""PaddleX's drawing functions: precision-recall curves, and COCO's error analysis as pictures.

- `draw_pr_curve`. Origin: PaddleX's, its arguments and file names. Differences: one curve a class with
  its AP, and the mean of all; the areas under the curves are COCO's AP at that IoU (tested).
- `coco_error_analysis` shows how precision grows when one kind of error after the other is forgiven.
  Origin: the `analyze` function of COCO's evaluation (cocodataset.org/#detection-eval) and PaddleX's
  `coco_error_analysis`, its arguments and file names. Differences: the mean over all classes leaves out
  those without objects of the size (PaddleX counts them as 0); a data set without super-categories has
  every class in its own.

matplotlib is used without its global state, and imported when something is drawn: on a new machine it
first looks for fonts, for seconds.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..metrics.average_precision import AREAS
from ..metrics.matching import RECALLS, Curve, curves, match
from ..metrics.overlaps import LEAST, find_overlaps
from ..metrics.results import ResultRows
from ..metrics.truth import Truth
from .eval_details import read_eval_details

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NAMED = 15  # curves with a name in the legend
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
_SCRIPTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei",
    "Droid Sans Fallback", "Microsoft YaHei", "SimHei", "PingFang SC", "Arial Unicode MS",
)  # fmt: skip
_NOT_IN_NAMES = re.compile(r'[\\/:*?"<>|\x00-\x1f]+')


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
            itself, or a model directory of an evaluated epoch; if None, gt and pred_bbox or
            pred_mask are needed.
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
        of_classes = class_curves(details.truth, rows, kind, iou_thresh)
        figure = pr_figure(of_classes, details.truth.names, f"{kind}, IoU {iou_thresh:g}")
        with _readable_names():
            _save(figure, Path(save_dir) / f"{kind}_pr_curve(iou-{iou_thresh:g}).png")


def class_curves(truth: Truth, rows: ResultRows, kind: str, iou: float) -> list[Curve]:
    """One curve a class, of all detections: the model has left `keep_top_k` of an image."""
    overlaps = find_overlaps(truth, rows, kind, own_class_first=True, least=iou)
    return curves(overlaps, match(overlaps, iou))


def pr_figure(of_classes: Sequence[Curve], names: Sequence[str], title: str) -> Figure:
    """Precision and score over recall; classes without objects have no line."""
    with _readable_names():
        figure = _new_figure(10, 4.4)
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        drawn = [
            (name, *curve.at_recalls())
            for name, curve in zip(names, of_classes, strict=True)
            if curve.num_objects
        ]
        for name, precision, scores in sorted(drawn, key=lambda line: -line[1].mean()):
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
            itself, or a model directory of an evaluated epoch; if None, gt and pred_bbox or
            pred_mask are needed.
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
                with _readable_names():
                    figure = error_figure(with_all[:, :, k, a], text)
                    _save(figure, Path(save_dir) / kind / f"{kind}-{name}-{area}.png", dpi=120)


def error_curves(truth: Truth, rows: ResultRows, kind: str) -> np.ndarray:
    """(7, 101, K, 4) precision at recall, of each step, class and size; NaN without objects."""
    overlaps = find_overlaps(truth, rows, kind, others_as_crowd=True)
    num_classes = len(truth.names)
    others = ~np.eye(num_classes, dtype=bool)
    groups = np.array(
        [
            name if name.lower() not in ("", "none") else k
            for k, name in enumerate(truth.supercategories)
        ],
        dtype=object,
    )
    similar = others & (groups[:, None] == groups[None, :])
    precision = np.empty((len(STEPS), len(RECALLS), num_classes, len(AREAS)))
    for a, area in enumerate(AREAS.values()):
        of_steps = (
            match(overlaps, 0.75, area),
            match(overlaps, 0.5, area),
            match(overlaps, 0.1, area),
            match(overlaps, 0.1, area, similar),
            match(overlaps, 0.1, area, others),
        )
        for step, matches in enumerate(of_steps):
            columns = [curve.at_recalls()[0] for curve in curves(overlaps, matches)]
            precision[step, :, :, a] = np.stack(columns, axis=1)
    defined = ~np.isnan(precision[4])
    precision[5] = np.where(defined, precision[4] > 0, np.nan)
    precision[6] = np.where(defined, 1.0, np.nan)
    return precision


def error_figure(precision: np.ndarray, title: str) -> Figure:
    """Areas between the steps.

    Args:
        precision: (7, 101), NaN without objects.
    """
    figure = _new_figure(6.4, 4.8)
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
    unique: list[str] = []
    for name in map(_file_name, names):
        count = sum(other == name or other.startswith(f"{name}~") for other in unique)
        unique.append(f"{name}~{count + 1}" if count else name)
    return unique


def _new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


@contextmanager
def _readable_names() -> Iterator[None]:
    """Fonts for class names in any script that an installed font has."""
    import matplotlib
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    families = ["DejaVu Sans", *(name for name in _SCRIPTS if name in installed)]
    with matplotlib.rc_context({"font.family": families, "axes.unicode_minus": False}):
        yield


def _save(figure: Figure, path: Path, dpi: int = 200) -> Path:
    """Write a PNG, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():  # a name in a script that no font here has is drawn as boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(path, dpi=dpi)
    return path


def _file_name(text: str) -> str:
    """A class name as part of a file name."""
    return _NOT_IN_NAMES.sub("_", text).strip()[:100] or "_"
