"""COCO's precision and recall arrays, by the fastest library that is installed.

pycocotools is the reference and always there. hotcoco and faster-coco-eval compute the same arrays
from the same rules (a test holds them to it) in a fraction of the time. All get annotations with ids
from 1 and masks in run-length form, so that nothing depends on how a library reads polygons.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .collection import collection_paused
from .results import ResultRows
from .truth import Truth

logger = logging.getLogger(__name__)

AUTO = "auto"
REFERENCE = "pycocotools"
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2),
         "large": (96.0**2, 1e10)}  # fmt: skip
IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
RECALLS = tuple(np.linspace(0, 1, 101).tolist())


@dataclass(frozen=True)
class CocoArrays:
    """What `COCOeval.accumulate` leaves; -1 where a class has no object of the size.

    Attributes:
        precision: (T, 101, K, 4) at IoU, recall, class, size (all, small, medium, large).
        recall: (T, K, 4) the highest.
        scores: (T, 101, K, 4) of the detection at that recall.
    """

    precision: np.ndarray
    recall: np.ndarray
    scores: np.ndarray


Evaluator = Callable[[Truth, ResultRows, str, int], Any]


def coco_arrays(
    truth: Truth, results: ResultRows, kind: str, max_detections: int, backend: str = AUTO
) -> CocoArrays:
    """Evaluate.

    Args:
        truth: annotations.
        results: detections; those of `segm` need masks.
        kind: `bbox` or `segm`.
        max_detections: results of a class in an image that count, best first.
        backend: auto, hotcoco, faster-coco-eval or pycocotools.

    Raises:
        ValueError: for a back end that does not exist or is not installed, and for results that do
            not belong to the annotations.
    """
    truth.check(results)
    chosen = choose_backend(backend)
    try:
        with collection_paused():
            found = _EVALUATORS[chosen](truth, results, kind, max_detections)
    except Exception:
        if backend != AUTO or chosen == REFERENCE:
            raise
        logger.warning("%s failed; %s evaluates instead", chosen, REFERENCE, exc_info=True)
        found = _EVALUATORS[REFERENCE](truth, results, kind, max_detections)
    arrays = (np.asarray(found[name])[..., -1] for name in ("precision", "recall", "scores"))
    return CocoArrays(*arrays)


def choose_backend(backend: str = AUTO) -> str:
    """The name of the library that evaluates.

    Raises:
        ValueError: when it is not one of `BACKENDS`, or not installed.
    """
    if backend == AUTO:
        return installed_backends()[0]
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}; allowed: {', '.join((AUTO, *BACKENDS))}")
    if backend not in installed_backends():
        raise ValueError(
            f"backend is {backend!r}, which is not installed: pip install {backend}, or choose "
            f"{AUTO}"
        )
    return backend


def installed_backends() -> Sequence[str]:
    """Names of those that can be imported, fastest first."""
    return [name for name in BACKENDS if importlib.util.find_spec(name.replace("-", "_"))]


def _by_hotcoco(truth: Truth, results: ResultRows, kind: str, limit: int) -> Any:
    import hotcoco

    known = hotcoco.COCO(truth.as_coco(kind))
    found = known.load_res(results.of_kind(kind))
    evaluation = hotcoco.COCOeval(known, found, kind)
    evaluation.params.max_dets = [max(100, limit)]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval


def _by_faster_coco_eval(truth: Truth, results: ResultRows, kind: str, limit: int) -> Any:
    import faster_coco_eval

    known = faster_coco_eval.COCO(truth.as_coco(kind))
    found = known.loadRes(results.of_kind(kind)) if results else faster_coco_eval.COCO()
    evaluation = faster_coco_eval.COCOeval_faster(known, found, kind)
    evaluation.params.maxDets = [max(100, limit)]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval


def _by_pycocotools(truth: Truth, results: ResultRows, kind: str, limit: int) -> Any:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # its progress texts
        known = COCO()
        known.dataset = truth.as_coco(kind)
        known.createIndex()
        # loadRes cannot take an empty list
        found = known.loadRes(results.of_kind(kind)) if results else COCO()
        evaluation = COCOeval(known, found, kind)
        evaluation.params.maxDets = [max(100, limit)]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval


_EVALUATORS: dict[str, Evaluator] = {
    "hotcoco": _by_hotcoco,
    "faster-coco-eval": _by_faster_coco_eval,
    REFERENCE: _by_pycocotools,
}
BACKENDS = tuple(_EVALUATORS)
