"""One evaluation: detections compared with annotations once, and every number that follows.

The log, the metrics files, the report and `analyze` all read the same `Comparison`: one reading of the
annotations, one computation of overlaps, one matching, one average precision.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
from pycocotools import mask as coco_mask

from .average_precision import (
    AveragePrecision,
    average_precision,
    class_table,
    match_all_sizes,
    summary,
)
from .errors import why_undefined, why_zero
from .matching import Curve, Matches, curve_of_all, curves
from .overlaps import Overlaps, complete, find_overlaps
from .results import BBOX, SEGM, ResultRows, box_region
from .truth import Truth

EVAL_DETAILS = "eval_details.json"

_LEAST_LIMIT = 100  # COCO's: so many detections of a class in an image always count


class AnnotatedData(Protocol):
    """What is read of a data set: `DetectionDataset` without its images."""

    name: str

    @property
    def coco_gt(self) -> Any:
        """The annotations as pycocotools' `COCO`."""


@dataclass(frozen=True)
class Comparison:
    """Boxes or masks of a data set, compared with what is annotated.

    Attributes:
        overlaps: the detections and the objects they overlap.
        matches: which detection finds which object at IoU 0.5.
        curves: precision over recall at IoU 0.5, one a class.
        together: the same of all classes as if they were one.
        average_precision: COCO's numbers, and precision, recall and F1 at the best scores.
    """

    overlaps: Overlaps
    matches: Matches
    curves: list[Curve]
    together: Curve
    average_precision: AveragePrecision


def compare(
    truth: Any, results: Sequence[dict[str, Any]], kind: str, max_detections: int = _LEAST_LIMIT
) -> Comparison:
    """Compare COCO results with annotations.

    Args:
        truth: annotations: pycocotools' `COCO`, a COCO dict, or a `Truth`.
        results: COCO result dicts; those of one kind need `bbox` or `segmentation`.
        kind: `bbox` or `segm`.
        max_detections: results of a class in an image that count, best first; at least 100 do.

    Raises:
        ValueError: for results that do not belong to the annotations.
    """
    overlaps = find_overlaps(
        Truth.of(truth), ResultRows.of(results), kind, max(_LEAST_LIMIT, max_detections),
        own_class_first=True,
    )  # fmt: skip
    matches = match_all_sizes(overlaps)
    of_classes, together = curves(overlaps, matches[0]), curve_of_all(overlaps, matches[0])
    numbers = average_precision(overlaps, matches, of_classes, together)
    return Comparison(overlaps, matches[0], of_classes, together, numbers)


@dataclass
class Evaluation:
    """All that one evaluation found.

    Attributes:
        bbox, segm: average precision of boxes and masks.
        metric: COCO or VOC: which numbers `metrics` names.
        results: COCO result dicts with `bbox`, `segmentation` (RLE) and `score`, best first an image.
        comparisons: kind (`segm`, `bbox`) -> what the numbers come from. These two are empty in
            processes beside the main one.
        note: why a metric is zero or undefined; empty otherwise.
        seconds: where the time of the main process went: `reading` (waiting for images), `network`,
            `masks` (pasting and compressing them) and `scoring`.
    """

    bbox: AveragePrecision
    segm: AveragePrecision
    metric: str
    results: ResultRows = field(default_factory=ResultRows, repr=False)
    comparisons: dict[str, Comparison] = field(default_factory=dict, repr=False)
    note: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, dataset: AnnotatedData, results: ResultRows, metric: str, max_detections: int
    ) -> Evaluation:
        """Evaluate the results of a network; see `compare`."""
        truth = Truth.of(dataset.coco_gt)
        comparisons = {kind: compare(truth, results, kind, max_detections) for kind in (SEGM, BBOX)}
        bbox, segm = (comparisons[kind].average_precision for kind in (BBOX, SEGM))
        note = why_undefined(truth, dataset.name)
        if not note and results and segm.ap50 == 0:
            note = why_zero(complete(comparisons[SEGM].overlaps))
        return cls(bbox, segm, metric, results, comparisons, note)

    @property
    def metrics(self) -> dict[str, float]:
        """The documented dict: `bbox_mmap`, `segm_mmap`, or `bbox_map`, `segm_map` for VOC."""
        if self.metric == "VOC":
            return {"bbox_map": self.bbox.ap50, "segm_map": self.segm.ap50}
        return {"bbox_mmap": self.bbox.ap, "segm_mmap": self.segm.ap}

    def table(self) -> str:
        """The numbers of all classes together as text, fractions."""
        return summary(self.bbox, self.segm)

    def class_table(self, kind: str = SEGM) -> str:
        """The numbers of each class as text, fractions.

        Args:
            kind: `segm` or `bbox`.
        """
        return class_table(self.segm if kind == SEGM else self.bbox)

    def details(self, dataset: AnnotatedData) -> dict[str, Any]:
        """The documented `eval_details`; row i of `mask` belongs to row i of `bbox`.

        A map of [image id, category id, map, score] covers rows floor(y) to ceil(y + h) and columns
        floor(x) to ceil(x + w) of the image: put at (floor x, floor y) it is the mask that was evaluated.
        """
        rows = [(row["image_id"], row["category_id"], row) for row in self.results]
        return {
            "bbox": [[image, category, row["bbox"], row["score"]] for image, category, row in rows],
            "mask": [
                [image, category, _in_box(row["segmentation"], row["bbox"]), row["score"]]
                for image, category, row in rows
            ],
            "gt": dataset.coco_gt.dataset,
        }

    def write(self, directory: Path, dataset: AnnotatedData | None = None) -> None:
        """COCO result files, readable by any COCO tool: `bbox_results.json`, `segm_results.json`.

        Beside them `metrics.json`, all numbers, and with the data set `eval_details.json`, which
        `draw_pr_curve` and `coco_error_analysis` read.
        """
        directory.mkdir(parents=True, exist_ok=True)
        for kind in (BBOX, SEGM):
            with (directory / f"{kind}_results.json").open("w", encoding="utf-8") as file:
                _write_rows(file, self.results.of_kind(kind))
        numbers = self.metrics | {BBOX: asdict(self.bbox), SEGM: asdict(self.segm)}
        text = json.dumps(without_nan(numbers), indent=1, ensure_ascii=False)
        (directory / "metrics.json").write_text(text, encoding="utf-8")
        if dataset is not None:
            self.write_details(directory / EVAL_DETAILS, dataset)

    def write_details(self, path: Path, dataset: AnnotatedData) -> None:
        """PaddleX's eval_details.json: `bbox` and `mask`, COCO result dicts with RLE masks, and `gt`."""
        with path.open("w", encoding="utf-8") as file:
            file.write('{"bbox": ')
            _write_rows(file, self.results.of_kind(BBOX))
            file.write(',\n"mask": ')
            _write_rows(file, self.results.of_kind(SEGM))
            file.write(f',\n"gt": {json.dumps(dataset.coco_gt.dataset, default=_plain)}}}')


def without_nan(value: Any) -> Any:
    """JSON has no NaN: null says the same; arrays become lists."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _in_box(mask: dict[str, Any], box: Sequence[float]) -> np.ndarray:
    """(h, w) uint8: a run-length mask in the region of its box."""
    # a copy, so that the whole image's mask does not stay in memory
    return np.ascontiguousarray(coco_mask.decode(mask)[box_region(box, mask["size"])])


def _write_rows(file: TextIO, rows: list[dict[str, Any]]) -> None:
    """One row a line: readable, and no text of the whole file in memory."""
    file.write("[")
    for i, row in enumerate(rows):
        file.write((",\n" if i else "\n") + json.dumps(row))
    file.write("\n]")


def _plain(value: Any) -> Any:
    """Numpy numbers and bytes of annotations, as JSON holds them."""
    return value.decode("ascii") if isinstance(value, bytes) else value.item()
