"""Time of every NMS as a ratio to torchvision.ops.batched_nms, all taken in turn in one run.

    python benchmarks/nms.py [--device cuda] [--threads 1] [--repeats 15]

Cases of 1000 proposals x 80 classes: a likely image (scores above 0.05), the same with the score
threshold 0.01, and every class of every proposal above the threshold. Also the whole box predictor
against Detectron2's. Only ratios of one run count: the milliseconds depend on the machine and on
what else it does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

# before torch is imported: waiting threads that spin spoil every figure on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from side_by_side.arguments import positive
from torchvision.ops import batched_nms

from paddlex_maskrcnn.modeling.box_predictor import PaddleXBoxPredictor
from paddlex_maskrcnn.modeling.nms import NMSSettings, hard_nms
from paddlex_maskrcnn.modeling.registries import BOX_NMS

NUM_PROPOSALS, NUM_CLASSES, NUM_OBJECTS = 1000, 80, 15
Detections = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


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


def medians(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median milliseconds of each function, called in turn."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(series[1:]) for name, series in times.items()}  # 1st: warm-up


def print_ratios(title: str, functions: dict[str, Callable[[], object]], repeats: int) -> None:
    """One line: the ratio of each function's time to that of the first."""
    times = medians(functions, repeats)
    (base, base_time), *others = times.items()
    ratios = "  ".join(f"{name} {ms / base_time:5.2f}x" for name, ms in others)
    print(f"{title:34s}{base} {base_time:8.2f} ms   {ratios}")


def compare_nms(title: str, detections: Detections, settings: NMSSettings, repeats: int) -> None:
    """Every registered NMS against torchvision's."""
    functions: dict[str, Callable[[], object]] = {
        "torchvision": lambda: batched_nms(*detections, settings.iou_threshold)
    }
    for name, nms in sorted(BOX_NMS):
        functions[name] = partial(nms, *detections, settings)
    print_ratios(f"{title}, {len(detections[1])} boxes", functions, repeats)


def compare_predictors(device: str, repeats: int) -> None:
    """Our box predictor with hard NMS against Detectron2's, from head outputs to detections."""
    shared = {
        "box2box_transform": Box2BoxTransform((10.0, 10.0, 5.0, 5.0)),
        "num_classes": NUM_CLASSES,
        "test_score_thresh": 0.05,
    }
    shape = ShapeSpec(channels=4)
    stock = FastRCNNOutputLayers(shape, **shared)
    ours = PaddleXBoxPredictor(shape, nms=hard_nms, nms_sigma=0.5, **shared)
    proposals = Instances((1000, 1300))
    corner = torch.rand(NUM_PROPOSALS, 2) * 900
    proposals.proposal_boxes = Boxes(torch.cat([corner, corner + 60], dim=1)).to(device)
    scores = torch.randn(NUM_PROPOSALS, NUM_CLASSES + 1, device=device) * 2
    deltas = torch.randn(NUM_PROPOSALS, NUM_CLASSES * 4, device=device)
    functions = {
        "Detectron2": lambda: stock.inference((scores, deltas), [proposals]),
        "ours": lambda: ours.inference((scores, deltas), [proposals]),
    }
    print_ratios("box predictor, hard NMS", functions, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=positive, default=1, help="threads of torch on the CPU")
    parser.add_argument("--repeats", type=positive, default=15)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {args.device}, {args.threads} threads")
    cases = [
        ("likely", likely_image(0.05), 0.05),
        ("likely, threshold 0.01", likely_image(0.01), 0.01),
        ("every class", everything_scores(), 0.05),
    ]
    for top_k in (100, 300, -1):
        print(f"keep {'all' if top_k < 0 else top_k}")
        for title, detections, threshold in cases:
            boxes, scores, classes = (tensor.to(args.device) for tensor in detections)
            settings = NMSSettings(score_threshold=threshold, top_k=top_k)
            repeats = args.repeats if len(scores) < 5e4 else 3
            compare_nms(title, (boxes, scores, classes), settings, repeats)
    with torch.no_grad():
        compare_predictors(args.device, args.repeats)


if __name__ == "__main__":
    main()
