"""The parts around the network: loading data, pasting masks, NMS, COCO evaluation."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from coco_eval import REFERENCE, draw_data, evaluate, reference
from detectron2.layers import batched_nms as stock_batched_nms
from detectron2.layers.mask_ops import paste_masks_in_image
from detectron2.structures import Boxes
from nms import likely_image
from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2
from torchvision.models.detection.roi_heads import paste_masks_in_image as torchvision_paste
from torchvision.ops import batched_nms
from torchvision.transforms import v2

from data import mappers
from paddlex_maskrcnn.inference.detections import paste_in_box
from paddlex_maskrcnn.modeling.nms import NMSSettings
from paddlex_maskrcnn.modeling.registries import BOX_NMS

from .equality import check_detections
from .pictures import Pictures
from .record import Check, Part, rows_of
from .rounds import take_turns
from .settings import OURS, STOCK, TORCHVISION, Settings

Work = dict[str, Callable[[], Any]]


def loading(pictures: Pictures, settings: Settings) -> Part:
    """A loader process: files to augmented images and targets, one thread."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    try:
        readers = mappers("polygon")
        theirs = _torchvision_data(pictures)
        records = pictures.records
        work: Work = {
            OURS: lambda: [readers[OURS](record, k) for k, record in enumerate(records)],
            STOCK: lambda: [readers[STOCK](record, k) for k, record in enumerate(records)],
            TORCHVISION: lambda: [theirs[k] for k in range(len(theirs))],
        }
        part = Part(checks=[_same_samples(work)])
        name = f"{len(records)} JPEG files to short side 800"
        equal = dict.fromkeys((STOCK, TORCHVISION), "sizes, objects")
        _measure(part, "data loading", name, work, settings, equal)
    finally:
        torch.set_num_threads(settings.threads)
    return part


def _torchvision_data(pictures: Pictures) -> Any:
    """Its own data set and transforms with the same augmentation."""
    steps = [
        v2.ToImage(), v2.RandomHorizontalFlip(), v2.RandomShortestSize(800, 1333),
        v2.ToDtype(torch.float32, scale=True), v2.SanitizeBoundingBoxes(),
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        data = CocoDetection(pictures.folder, str(pictures.ann_file), transforms=v2.Compose(steps))
    return wrap_dataset_for_transforms_v2(data, target_keys=["boxes", "labels", "masks"])


def _same_samples(work: Work) -> Check:
    """Sizes and objects; torchvision rounds a long side down where the others round it."""

    def facts(sample: Any) -> tuple[int, int, int]:
        if isinstance(sample, dict):
            return (*sample["image"].shape[1:], len(sample["instances"]))
        image, target = sample
        return (*image.shape[1:], len(target["boxes"]))

    samples = {name: np.array([facts(sample) for sample in read()]) for name, read in work.items()}
    pixels = max(
        np.abs(samples[OURS] - samples[name])[:, :2].max() for name in (STOCK, TORCHVISION)
    )
    same = all((samples[OURS][:, 2] == samples[name][:, 2]).all() for name in (STOCK, TORCHVISION))
    count, objects = len(samples[OURS]), samples[OURS][:, 2].sum()
    text = f"{count} images, sides within {pixels} pixels, {objects} objects"
    return Check(
        "data loading", bool(same and pixels <= 1), text if same else f"objects: {samples}"
    )


def pasting(settings: Settings) -> Part:
    """Masks of 28 x 28 onto the image, the whole of it for each object."""
    part = Part()
    for size in ((480, 640), (1200, 1600)):
        _pasting_onto(size, part, settings)
    return part


def _pasting_onto(size: tuple[int, int], part: Part, settings: Settings) -> None:
    height, width = size
    count = 5 if settings.quick else 100
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([width, height]) * 0.7
    side = torch.rand(count, 2, generator=generator) * torch.tensor([width, height]) * 0.3
    boxes = torch.cat([corner, corner + side + 4], dim=1)
    masks = torch.rand(count, 28, 28, generator=generator)
    work: Work = {
        OURS: lambda: _paste(masks, boxes, size),
        STOCK: lambda: paste_masks_in_image(masks, Boxes(boxes), size, 0.5).numpy(),
        TORCHVISION: lambda: (torchvision_paste(masks[:, None], boxes, size) > 0.5).numpy(),
    }
    name = f"{count} masks onto {width}x{height}"
    blank = {"boxes": boxes.numpy(), "scores": np.ones(count), "classes": np.zeros(count)}
    detections = [[{**blank, "masks": np.asarray(work[who]())}] for who in (OURS, STOCK)]
    part.checks.append(check_detections(f"pasting, {name}", *detections, mask_share=1e-4))
    _measure(part, "mask pasting", name, work, settings, {STOCK: "pixels"})


def _paste(masks: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int]) -> list[np.ndarray]:
    both = zip(masks, boxes, strict=True)
    return [paste_in_box(mask, box, *size).dense(*size) for mask, box in both]


def nms(settings: Settings) -> Part:
    """Hard NMS of the candidates of one image."""
    part = Part()
    torch.manual_seed(0)
    for threshold in (0.05, 0.01):
        _nms_above(threshold, part, settings)
    return part


def _nms_above(threshold: float, part: Part, settings: Settings) -> None:
    likely = likely_image(threshold)
    boxes, scores, classes = (tensor.to(settings.device) for tensor in likely)
    how = NMSSettings(score_threshold=threshold, top_k=100)
    hard = BOX_NMS.get("hard_nms")
    work: Work = {
        OURS: lambda: hard(boxes, scores, classes, how),
        STOCK: lambda: stock_batched_nms(boxes, scores, classes, how.iou_threshold)[:100],
        TORCHVISION: lambda: batched_nms(boxes, scores, classes, how.iou_threshold)[:100],
    }
    name = f"1000 proposals x 80 classes, score above {threshold}"
    indices = [_indices(run()) for run in work.values()]
    same = all(torch.equal(indices[0], other) for other in indices)
    part.checks.append(Check(f"NMS, {name}", same, f"the same {len(indices[0])} boxes"))
    equal = dict.fromkeys((STOCK, TORCHVISION), "boxes kept")
    _measure(part, "NMS", name, work, settings, equal, device=settings.device)


def _indices(result: Any) -> torch.Tensor:
    """Ours returns indices and scores."""
    return result[0] if isinstance(result, tuple) else result


def evaluation(settings: Settings) -> Part:
    """COCO's numbers of boxes and masks, from dicts to AP.

    pycocotools is what torchvision and Detectron2 without its compiled part evaluate with.
    """
    images = 5 if settings.quick else 500
    data, rows = draw_data(images, 20, 40, 20)
    plain = [dict(row) for row in rows]  # the form that the reference reads, made off the clock
    work: Work = {
        OURS: lambda: evaluate(data, rows),
        REFERENCE: lambda: reference(data, plain),
    }
    part = Part()
    name = f"{images} images, {len(rows)} detections, boxes and masks"
    equal = {REFERENCE: "AP, AP50, AP75"}
    _measure(part, "COCO evaluation", name, work, settings, equal, rounds=3)
    apart = float(np.abs(np.subtract(work[OURS](), work[REFERENCE]())).max())
    part.checks.append(Check("COCO evaluation", apart < 1e-6, f"6 numbers within {apart:.1g}"))
    return part


def _measure(
    part: Part,
    title: str,
    name: str,
    work: Work,
    settings: Settings,
    equal: dict[str, str],
    *,
    rounds: int | None = None,
    device: str = "cpu",
) -> None:
    """Add a row for ours against each other one."""
    rounds = min(rounds or settings.rounds, settings.rounds)
    seconds = take_turns(work, rounds, clock=settings.clock, device=device)
    pairs = [(OURS, other) for other in work if other != OURS]
    equal_pairs = {(OURS, other): words for other, words in equal.items()}
    part.rows += rows_of(title, name, seconds, pairs, equal=equal_pairs)
