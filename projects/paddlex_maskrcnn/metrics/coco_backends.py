"""COCO's precision and recall arrays, computed here (coco_arrays.py) or by a library.

pycocotools is the reference and always there. hotcoco and faster-coco-eval compute the same arrays
from the same rules (a test holds them to it) in a fraction of the time. All get annotations with ids
from 1 and masks in run-length form, so that nothing depends on how a library reads polygons.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..garbage_collection import collection_paused
from .coco_arrays import AREAS as AREAS
from .coco_arrays import IOU_THRESHOLDS, CocoArrays, coco_arrays_of
from .overlaps import Overlaps, find_overlaps
from .results import ResultRows
from .truth import Truth

AUTO = "auto"
BUILT_IN = "built-in"
REFERENCE = "pycocotools"

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
        backend: auto, built-in, hotcoco, faster-coco-eval or pycocotools.

    Raises:
        ValueError: for a back end that does not exist or is not installed, and for results that do
            not belong to the annotations.
    """
    truth.check(results)
    chosen = choose_backend(backend)
    if chosen == BUILT_IN:
        return coco_arrays_of(pairs_for_ap(truth, results, kind, max_detections))
    with collection_paused():
        found = _LIBRARIES[chosen](truth, results, kind, max_detections)
    arrays = (np.asarray(found[name])[..., -1] for name in ("precision", "recall", "scores"))
    return CocoArrays(*arrays)


def pairs_for_ap(truth: Truth, results: ResultRows, kind: str, max_detections: int) -> Overlaps:
    """What average precision needs to know; see `coco_arrays`."""
    limit = max(100, max_detections)
    return find_overlaps(truth, results, kind, limit, own_class=True, least=IOU_THRESHOLDS[0])


def choose_backend(backend: str = AUTO) -> str:
    """The name of what evaluates.

    Raises:
        ValueError: when it is not one of `BACKENDS`, or not installed.
    """
    if backend == AUTO:
        return BUILT_IN
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}; allowed: {', '.join((AUTO, *BACKENDS))}")
    if backend not in installed_backends():
        raise ValueError(
            f"backend is {backend!r}, which is not installed: pip install {backend}, or choose "
            f"{AUTO}"
        )
    return backend


def installed_backends() -> Sequence[str]:
    """Names of those that can be used, the built-in one first and pycocotools last."""
    known = importlib.util.find_spec
    return [name for name in BACKENDS if name == BUILT_IN or known(name.replace("-", "_"))]


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


_LIBRARIES: dict[str, Evaluator] = {
    "hotcoco": _by_hotcoco,
    "faster-coco-eval": _by_faster_coco_eval,
    REFERENCE: _by_pycocotools,
}
BACKENDS = (BUILT_IN, *_LIBRARIES)
