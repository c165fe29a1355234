"""A network on a data set: COCO metrics, result rows, and why a number is what it is."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..data.datasets.base import DetectionDataset
from ..data.loader import build_test_loader
from ..data.mapper import TestMapper
from ..data.transforms import Compose
from ..inference.detections import Detection, detect
from ..inference.network import ModelCard, Network
from ..metrics.average_precision import AveragePrecision, average_precision
from ..metrics.coco_backends import AUTO, choose_backend
from ..metrics.overlaps import find_overlaps
from ..metrics.reasons import why_undefined, why_zero
from ..metrics.results import BBOX, SEGM, ResultRows
from ..metrics.tables import by_class, summary, without_nan
from ..metrics.truth import Truth
from ..processes import (
    from_main,
    is_main,
    shard,
    to_main,
)
from .stopwatch import Stopwatch

logger = logging.getLogger(__name__)

_LOOKED_AT = 8  # images for the highest score when nothing passed the threshold


@dataclass
class Evaluation:
    """All that one evaluation found.

    Attributes:
        bbox, segm: average precision of boxes and masks.
        metric: COCO or VOC: which numbers `metrics` names.
        results: COCO result dicts with `bbox`, `segmentation` (RLE) and `score`, best first an image.
        detections: (image id, detection) in the order of `results`.
        note: why a metric is zero or undefined; empty otherwise.
        seconds: where the time of the main process went: `reading` (waiting for images), `network`,
            `masks` (pasting and compressing them) and `scoring`.
    """

    bbox: AveragePrecision
    segm: AveragePrecision
    metric: str
    results: ResultRows = field(default_factory=ResultRows)
    detections: list[tuple[int, Detection]] = field(default_factory=list)
    note: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

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
        """The numbers of all classes together as text, percent."""
        return summary(self.bbox, self.segm)

    def class_table(self, kind: str = SEGM) -> str:
        """The numbers of each class as text, percent.

        Args:
            kind: `segm` or `bbox`.
        """
        return by_class(self.segm if kind == SEGM else self.bbox)

    def write(self, directory: Path, dataset: DetectionDataset | None = None) -> None:
        """COCO result files, readable by any COCO tool: `bbox_results.json`, `segm_results.json`.

        Beside them `metrics.json`, all numbers, and with the data set `eval_details.json`, which
        `draw_pr_curve` and `coco_error_analysis` read.
        """
        directory.mkdir(parents=True, exist_ok=True)
        for kind in (BBOX, SEGM):
            _write_rows(directory / f"{kind}_results.json", self.results.of_kind(kind))
        numbers = self.metrics | {"bbox": asdict(self.bbox), "segm": asdict(self.segm)}
        text = json.dumps(without_nan(numbers), indent=1, ensure_ascii=False)
        (directory / "metrics.json").write_text(text, encoding="utf-8")
        if dataset is not None:
            details = {
                "bbox": self.results.of_kind(BBOX),
                "mask": self.results.of_kind(SEGM),
                "gt": dataset.coco_gt.dataset,
            }
            text = json.dumps(details, default=_plain)
            (directory / "eval_details.json").write_text(text, encoding="utf-8")


def evaluate_network(
    network: Network,
    dataset: DetectionDataset,
    transforms: Compose,
    *,
    batch_size: int = 1,
    metric: str = "COCO",
    keep_detections: bool = False,
    backend: str = AUTO,
) -> Evaluation:
    """Evaluate a network, each process a part of the data; its training mode is restored afterwards.

    Every process gets the numbers; the result rows and detections are in the main one only.

    Args:
        network: any mode.
        dataset: held-out data.
        transforms: operators applied before the network.
        batch_size: images evaluated together; without effect on the numbers.
        metric: COCO or VOC.
        keep_detections: keep every detection for `Evaluation.details`.
        backend: auto, built-in, hotcoco, faster-coco-eval or pycocotools; without effect on the numbers.

    Raises:
        ValueError: when the data set has other classes than the model, or the back end is not there.
    """
    check_classes(network.card, dataset)
    choose_backend(backend)  # before the work, not after it
    training = network.module.training
    network.module.eval()
    results = ResultRows()
    kept: list[tuple[int, Detection]] = []
    watch = Stopwatch()
    try:
        for image_id, one, found in _detections(network, dataset, transforms, batch_size, watch):
            with watch.of("masks"):
                for detection in found:
                    results.append(_as_coco(image_id, one, detection, dataset.category_ids))
            if keep_detections:
                kept += [(image_id, detection) for detection in found]
    finally:
        network.set_training(training)
    results, kept = ResultRows.joined(to_main([results])), to_main(kept)
    if not is_main():
        return from_main(None)
    with watch.of("scoring"):
        evaluation = _score(network.card, dataset, results, kept, metric, backend)
    evaluation.seconds = watch.seconds
    logger.info("Evaluated %d images in %s", dataset.num_samples, watch)
    if not evaluation.note and not results:
        evaluation.note = _nothing_found(network, dataset, transforms)
    if evaluation.note:
        logger.warning(evaluation.note)
    from_main(replace(evaluation, results=ResultRows(), detections=[]))
    return evaluation


def check_classes(card: ModelCard, dataset: DetectionDataset) -> None:
    """Raise ValueError when the data set's classes are not the model's."""
    if list(dataset.labels) != list(card.labels):
        raise ValueError(
            f"{dataset.name} has the classes {list(dataset.labels)}, "
            f"but the model knows {list(card.labels)}"
        )


def _detections(
    network: Network,
    dataset: DetectionDataset,
    transforms: Compose,
    batch_size: int,
    watch: Stopwatch,
) -> Iterator[tuple[int, dict[str, Any], list[Detection]]]:
    pinned = network.device.type == "cuda"
    batches = _inputs(network.card, dataset, transforms, batch_size, shard(), pinned=pinned)
    for batch in watch.each("reading", batches):
        with watch.of("network"):
            detections = detect(network.module, batch)
        for one, found in zip(batch, detections, strict=True):
            yield one["image_id"], one, found


def _inputs(
    card: ModelCard,
    dataset: DetectionDataset,
    transforms: Compose,
    batch_size: int,
    part: tuple[int, int],
    *,
    pinned: bool = False,
) -> Iterable[list[dict[str, Any]]]:
    mapper = TestMapper(transforms, card.input_format.channel_order, card.params.input_channel)
    return build_test_loader(
        dataset,
        mapper,
        batch_size=batch_size,
        num_workers=dataset.num_workers,
        shard=part,
        pinned=pinned,
    )


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
    results: ResultRows,
    kept: list[tuple[int, Detection]],
    metric: str,
    backend: str,
) -> Evaluation:
    limit = card.params.keep_top_k
    truth = Truth(dataset.coco_gt.dataset)
    bbox = average_precision(truth, results, BBOX, limit, backend)
    segm = average_precision(truth, results, SEGM, limit, backend)
    note = why_undefined(truth, dataset.name)
    if not note and results and segm.ap50 == 0:
        note = why_zero(find_overlaps(truth, results, SEGM))
    return Evaluation(bbox, segm, metric, results, kept, note)


def _nothing_found(network: Network, dataset: DetectionDataset, transforms: Compose) -> str:
    """Why there is no detection at all, after a look at what the threshold cuts off."""
    threshold = network.card.params.score_threshold
    highest = _highest_score(network, dataset, transforms)
    if highest is None:
        return (
            "AP is 0: the network finds nothing, whatever the score: its outputs are not finite "
            "or its proposals are all empty; the training has diverged"
        )
    return (
        f"AP is 0: no detection scored above score_threshold {threshold:g}; the highest score in "
        f"{min(_LOOKED_AT, dataset.num_samples)} images is {highest:.4f}; train longer, or lower "
        "the threshold to see what there is"
    )


def _highest_score(
    network: Network, dataset: DetectionDataset, transforms: Compose
) -> float | None:
    """The best score in the first images without a threshold; None when there is no box at all."""
    predictor = network.module.roi_heads.box_predictor
    threshold, training = predictor.test_score_thresh, network.module.training
    network.module.eval()
    predictor.test_score_thresh = 0.0
    scores: list[float] = []
    try:
        pairs = enumerate(_inputs(network.card, dataset, transforms, 1, (0, 1)))
        for looked_at, batch in pairs:
            if looked_at == _LOOKED_AT:
                break
            scores += [one.score for found in detect(network.module, batch) for one in found]
    finally:
        predictor.test_score_thresh = threshold
        network.set_training(training)
    return max(scores, default=None)


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """One row a line: readable, and no text of the whole file in memory."""
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for i, row in enumerate(rows):
            file.write((",\n" if i else "\n") + json.dumps(row))
        file.write("\n]\n")


def _plain(value: Any) -> Any:
    """Numpy numbers and bytes of annotations, as JSON holds them."""
    return value.decode("ascii") if isinstance(value, bytes) else value.item()
