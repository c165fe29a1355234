"""Time of every NMS as a ratio to torchvision's, and of the Libra sampler as a ratio to the random one.

    python benchmarks/nms.py [--device cuda] [--threads 1] [--repeats 15] [--only samplers]

NMS: 1000 proposals x 80 classes in a likely image (scores above 0.05), the same with the score
threshold 0.01, and every class of every proposal above the threshold. Also the whole box predictor
against Detectron2's. Samplers: 512 to 2000 proposals with the objects of an image added; foreground
less than its share of 128, so that there is nothing to balance, or more. The exit status is 1 when
the Libra sampler takes more than 1.5 times as long as the random one. Only ratios of one run count.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

# before torch is imported: waiting threads that spin spoil every figure on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from side_by_side.rounds import Spread, take_turns
from side_by_side.settings import positive
from torchvision.ops import batched_nms

from paddlex_maskrcnn.modeling.box_predictor import PaddleXBoxPredictor
from paddlex_maskrcnn.modeling.nms import NMSSettings, hard_nms
from paddlex_maskrcnn.modeling.registries import BOX_NMS, ROI_SAMPLER

NUM_PROPOSALS, NUM_CLASSES, NUM_OBJECTS = 1000, 80, 15
NUM_IMAGES, NUM_ANNOTATED = 100, 30  # of the samplers: images, and annotations in each
SLOWEST_LIBRA = 1.5  # of the time of random sampling
Detections = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Work = dict[str, Callable[[], Any]]


def likely_image(score_threshold: float) -> Detections:
    """Class-specific boxes around a few objects; most scores are low."""
    size = torch.rand(NUM_OBJECTS, 2) * 300 + 30
    corner = torch.rand(NUM_OBJECTS, 2) * 700
    objects = torch.cat([corner, corner + size], dim=1)
    nearest = torch.randint(NUM_OBJECTS, (NUM_PROPOSALS,))
    noise = torch.randn(NUM_PROPOSALS, NUM_CLASSES, 4) * 0.08
    boxes = objects[nearest][:, None] + noise * size[nearest].repeat(1, 2)[:, None]
    logits = torch.randn(NUM_PROPOSALS, NUM_CLASSES + 1) * 1.2
    object_classes = torch.randint(NUM_CLASSES, (NUM_OBJECTS,))
    logits[torch.arange(NUM_PROPOSALS), object_classes[nearest]] += torch.rand(NUM_PROPOSALS) * 6
    logits[:, -1] += torch.rand(NUM_PROPOSALS) * 5
    scores = logits.softmax(dim=1)[:, :-1]
    rows, classes = torch.nonzero(scores > score_threshold, as_tuple=True)
    return boxes[rows, classes], scores[rows, classes], classes


def everything_scores() -> Detections:
    """All 80 000 class-specific boxes are candidates."""
    corner = torch.rand(NUM_PROPOSALS, 1, 2) * 900
    size = torch.rand(NUM_PROPOSALS, 1, 2) * 200 + 20
    boxes = torch.cat([corner, corner + size], dim=2)
    boxes = boxes + torch.randn(NUM_PROPOSALS, NUM_CLASSES, 4) * 5
    scores = torch.rand(NUM_PROPOSALS * NUM_CLASSES) * 0.94 + 0.06
    return boxes.view(-1, 4), scores, torch.arange(NUM_CLASSES).repeat(NUM_PROPOSALS)


def compare(title: str, work: Work, repeats: int, device: str) -> dict[str, float]:
    """Print a line: the ratio of each median to that of the first, which is returned as well."""
    seconds = take_turns(work, repeats, device=device)
    medians = {name: Spread.of(values).median for name, values in seconds.items()}
    base = next(iter(medians))
    ratios = {name: median / medians[base] for name, median in medians.items()}
    shown = "  ".join(f"{name} {ratio:5.2f}x" for name, ratio in ratios.items() if name != base)
    print(f"{title:46s}{base} {medians[base] * 1e3:8.3f} ms   {shown}", flush=True)
    return ratios


def compare_nms(device: str, repeats: int) -> None:
    """Every registered NMS against torchvision's."""
    cases = [
        ("likely", likely_image(0.05), 0.05),
        ("likely, threshold 0.01", likely_image(0.01), 0.01),
        ("every class", everything_scores(), 0.05),
    ]
    for top_k, (title, detections, threshold) in itertools.product((100, 300, -1), cases):
        on_device = [tensor.to(device) for tensor in detections]
        settings = NMSSettings(score_threshold=threshold, top_k=top_k)
        work: Work = {"torchvision": partial(batched_nms, *on_device, settings.iou_threshold)}
        work |= {name: partial(nms, *on_device, settings) for name, nms in sorted(BOX_NMS)}
        title = f"keep {'all' if top_k < 0 else top_k}, {title}, {len(on_device[1])} boxes"
        compare(title, work, repeats if len(on_device[1]) < 5e4 else 3, device)


@torch.no_grad()
def compare_predictors(device: str, repeats: int) -> None:
    """Our box predictor with hard NMS against Detectron2's, from head outputs to detections."""
    shared = {
        "box2box_transform": Box2BoxTransform((10.0, 10.0, 5.0, 5.0)),
        "num_classes": NUM_CLASSES,
        "test_score_thresh": 0.05,
    }
    shape = ShapeSpec(channels=4)
    predictors = {
        "Detectron2": FastRCNNOutputLayers(shape, **shared),
        "ours": PaddleXBoxPredictor(shape, nms=hard_nms, nms_sigma=0.5, **shared),
    }
    proposals = Instances((1000, 1300))
    corner = torch.rand(NUM_PROPOSALS, 2) * 900
    proposals.proposal_boxes = Boxes(torch.cat([corner, corner + 60], dim=1)).to(device)
    scores = torch.randn(NUM_PROPOSALS, NUM_CLASSES + 1, device=device) * 2
    deltas = torch.randn(NUM_PROPOSALS, NUM_CLASSES * 4, device=device)
    work: Work = {
        name: partial(predictor.inference, (scores, deltas), [proposals])
        for name, predictor in predictors.items()
    }
    compare("box predictor, hard NMS", work, repeats, device)


def sampled_image(
    num: int, foreground: float, num_classes: int, hardness: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """IoU and labels of proposals; a hardness of 1 spreads the IoU of background evenly."""
    max_iou = torch.rand(num) ** (1 / hardness) * 0.5
    is_foreground = torch.rand(num) < foreground
    max_iou[is_foreground] += 0.5
    classes = torch.randint(num_classes, (num,))
    return max_iou, torch.where(is_foreground, classes, num_classes)


def compare_samplers(device: str, repeats: int) -> float:
    """The largest ratio of the Libra sampler's time to the random sampler's."""
    largest = 0.0
    for num, foreground in itertools.product((512, 1000, 2000), (0.02, 0.2, 0.5)):
        images = [
            sampled_image(num + NUM_ANNOTATED, foreground, NUM_CLASSES, hardness)
            for hardness in (1 / 3, 1.0) * (NUM_IMAGES // 2)
        ]
        images = [tuple(tensor.to(device) for tensor in image) for image in images]

        # different images in each turn: branches of a repeated one are predicted by the processor
        def over_all(sampler: Callable[..., Any], images: list[Any] = images) -> None:
            for image in images:
                sampler(*image, 512, 0.25, NUM_CLASSES)

        samplers = dict(sorted(ROI_SAMPLER, key=lambda item: item[0] != "random_sampler"))
        work: Work = {name: partial(over_all, sampler) for name, sampler in samplers.items()}
        title = f"{NUM_IMAGES} x {num} proposals, foreground {foreground:.0%}"
        largest = max(largest, compare(title, work, repeats, device)["libra_sampler"])
    return largest


def main(arguments: Sequence[str] | None = None) -> int:
    """Print all ratios; 1 when the Libra sampler is too slow."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=positive, default=1, help="threads of torch on the CPU")
    parser.add_argument("--repeats", type=positive, default=15)
    parser.add_argument("--only", choices=("nms", "samplers"))
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {args.device}, {args.threads} threads")
    if args.only != "samplers":
        compare_nms(args.device, args.repeats)
        compare_predictors(args.device, args.repeats)
    if args.only == "nms":
        return 0
    largest = compare_samplers(args.device, args.repeats)
    print(f"Libra sampler: at most {largest:.2f}x random sampling, {SLOWEST_LIBRA} is allowed")
    return 1 if largest > SLOWEST_LIBRA else 0


if __name__ == "__main__":
    sys.exit(main())
