"""Time of the Libra sampler as a ratio to the random sampler, taken in turn in one run.

    python benchmarks/samplers.py [--device cuda] [--threads 1] [--repeats 1000]

Cases: 512 to 2000 proposals with the objects of an image added; less foreground than its share of
128, so that there is nothing to balance, or more, of few classes or many. In every second image
much of the background is hard.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time

# before torch is imported: waiting threads that spin spoil every figure on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from side_by_side.arguments import positive

from paddlex_maskrcnn.modeling.registries import ROI_SAMPLER

NUM_IMAGES, NUM_OBJECTS = 100, 30


def draw_image(
    num: int, share_foreground: float, num_classes: int, hardness: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """IoU and labels of proposals; a hardness of 1 spreads the IoU of background evenly."""
    max_iou = torch.rand(num) ** (1 / hardness) * 0.5
    is_foreground = torch.rand(num) < share_foreground
    max_iou[is_foreground] += 0.5
    classes = torch.randint(num_classes, (num,))
    return max_iou, torch.where(is_foreground, classes, num_classes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=positive, default=1, help="threads of torch on the CPU")
    parser.add_argument("--repeats", type=positive, default=1000)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(
        f"torch {torch.__version__}, {args.device}, {args.threads} threads, medians in microseconds"
    )
    for num, share, num_classes in itertools.product((512, 1000, 2000), (0.02, 0.2, 0.5), (3, 80)):
        images = [
            draw_image(num + NUM_OBJECTS, share, num_classes, hardness)
            for hardness in (1 / 3, 1.0) * (NUM_IMAGES // 2)
        ]
        images = [tuple(tensor.to(args.device) for tensor in image) for image in images]
        times = medians(images, num_classes, args.repeats)
        ratio = times["libra_sampler"] / times["random_sampler"]
        title = f"{num} proposals, foreground {share:.0%}, {num_classes} classes"
        print(f"{title:44s}", {k: round(v) for k, v in times.items()}, f"{ratio:.2f}x")


def medians(images: list, num_classes: int, repeats: int) -> dict[str, float]:
    """Median microseconds of each sampler, over different images: a repeated one is predicted."""
    times: dict[str, list[float]] = {name: [] for name, _ in ROI_SAMPLER}
    for i in range(repeats):
        for name, sampler in ROI_SAMPLER:
            start = time.perf_counter()
            sampler(*images[i % len(images)], 512, 0.25, num_classes)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name].append((time.perf_counter() - start) * 1e6)
    return {name: statistics.median(series) for name, series in times.items()}


if __name__ == "__main__":
    main()
