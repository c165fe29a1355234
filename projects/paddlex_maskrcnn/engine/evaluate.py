"""A network on a data set: COCO metrics, result rows, and why a number is what it is."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.datasets.base import DetectionDataset
from ..data.loader import build_test_loader
from ..data.mapper import TestMapper
from ..data.transforms import Compose
from .coco_metrics import AveragePrecision, average_precision
from .detection import Detection
from .inference import detect
from .network import ModelCard, Network

logger = logging.getLogger(__name__)


@dataclass
class Evaluation:
    """All that one evaluation found.

    Attributes:
        bbox, segm: average precision of boxes and masks.
        metric: COCO or VOC: which numbers `metrics` names.
        results: COCO result dicts with `bbox`, `segmentation` (RLE) and `score`, best first an image.
        detections: (image id, detection) in the order of `results`.
        note: why a metric is zero or undefined; empty otherwise.
    """

    bbox: AveragePrecision
    segm: AveragePrecision
    metric: str
    results: list[dict[str, Any]] = field(default_factory=list)
    detections: list[tuple[int, Detection]] = field(default_factory=list)
    note: str = ""

    @property
    def metrics(self) -> dict[str, float]:
        """The documented dict: `bbox_mmap`, `segm_mmap`, or `bbox_map`, `segm_map` for VOC."""
        if self.metric == "VOC":
            return {"bbox_map": self.bbox.ap50, "segm_map": self.segm.ap50}
        return {"bbox_mmap": self.bbox.ap, "segm_mmap": self.segm.ap}

    def details(self, dataset: DetectionDataset) -> dict[str, Any]:
        """The documented `eval_details`; row i of `mask` belongs to row i of `bbox`."""
        ids = dataset.category_ids
        return {
            "bbox": [[i, ids[d.class_index], d.xywh, d.score] for i, d in self.detections],
            "mask": [[i, ids[d.class_index], d.mask.bits, d.score] for i, d in self.detections],
            "gt": dataset.coco_gt.dataset,
        }

    def table(self) -> str:
        """The numbers as text, percent."""
        head = f"{'':6}{'AP':>8}{'AP50':>8}{'AP75':>8}{'APs':>8}{'APm':>8}{'APl':>8}{'AR':>8}"
        lines = [head]
        for name, one in (("bbox", self.bbox), ("segm", self.segm)):
            numbers = [one.ap, one.ap50, one.ap75, *one.by_area.values(), one.recall]
            lines.append(f"{name:6}" + "".join(f"{100 * number:8.2f}" for number in numbers))
        return "\n".join(lines)

    def write(self, directory: Path) -> None:
        """COCO result files, readable by any COCO tool: `bbox_results.json`, `segm_results.json`."""
        directory.mkdir(parents=True, exist_ok=True)
        for kind, dropped in (("bbox", "segmentation"), ("segm", "bbox")):
            rows = [{k: v for k, v in one.items() if k != dropped} for one in self.results]
            (directory / f"{kind}_results.json").write_text(json.dumps(rows), encoding="utf-8")


def evaluate_network(
    network: Network,
    dataset: DetectionDataset,
    transforms: Compose,
    *,
    batch_size: int = 1,
    metric: str = "COCO",
    keep_detections: bool = False,
) -> Evaluation:
    """Evaluate a network; its training mode is restored afterwards.

    Args:
        network: any mode.
        dataset: held-out data.
        transforms: operators applied before the network.
        batch_size: images evaluated together; without effect on the numbers.
        metric: COCO or VOC.
        keep_detections: keep every detection for `Evaluation.details`.
    """
    check_classes(network.card, dataset)
    training = network.module.training
    network.module.eval()
    results: list[dict[str, Any]] = []
    kept: list[tuple[int, Detection]] = []
    try:
        for image_id, one, found in _detections(network, dataset, transforms, batch_size):
            for detection in found:
                results.append(_as_coco(image_id, one, detection, dataset.category_ids))
                if keep_detections:
                    kept.append((image_id, detection))
    finally:
        network.module.train(training)
    return _score(network.card, dataset, results, kept, metric)


def check_classes(card: ModelCard, dataset: DetectionDataset) -> None:
    """Raise ValueError when the data set's classes are not the model's."""
    if list(dataset.labels) != list(card.labels):
        raise ValueError(
            f"{dataset.name} has the classes {list(dataset.labels)}, "
            f"but the model knows {list(card.labels)}"
        )


def _detections(
    network: Network, dataset: DetectionDataset, transforms: Compose, batch_size: int
) -> Iterator[tuple[int, dict[str, Any], list[Detection]]]:
    card = network.card
    mapper = TestMapper(transforms, card.input_format.channel_order, card.params.input_channel)
    loader = build_test_loader(
        dataset, mapper, batch_size=batch_size, num_workers=dataset.num_workers
    )
    for batch in loader:
        for one, found in zip(batch, detect(network.module, batch), strict=True):
            yield one["image_id"], one, found


def _as_coco(
    image_id: int, image: dict[str, Any], detection: Detection, category_ids: list[int]
) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "category_id": category_ids[detection.class_index],
        "bbox": detection.xywh,
        "segmentation": detection.mask.rle(image["height"], image["width"]),
        "score": detection.score,
    }


def _score(
    card: ModelCard,
    dataset: DetectionDataset,
    results: list[dict[str, Any]],
    kept: list[tuple[int, Detection]],
    metric: str,
) -> Evaluation:
    limit = card.params.keep_top_k
    truth = dataset.coco_gt
    bbox = average_precision(truth, results, "bbox", limit)
    segm = average_precision(truth, results, "segm", limit)
    evaluation = Evaluation(bbox, segm, metric, results, kept)
    evaluation.note = _explain(card, dataset, evaluation)
    if evaluation.note:
        logger.warning(evaluation.note)
    return evaluation


def _explain(card: ModelCard, dataset: DetectionDataset, evaluation: Evaluation) -> str:
    if math.isnan(evaluation.segm.ap):
        return f"AP is undefined: {dataset.name} has no annotated object that counts"
    if not evaluation.results:
        return (
            "AP is 0: no detection scored above score_threshold "
            f"{card.params.score_threshold:g}; train longer, or lower it to see what there is"
        )
    if evaluation.segm.ap50 == 0:
        return "AP is 0: no detection overlaps an object of its class by half"
    return ""
