"""Time of the Libra sampler as a ratio to the random sampler, taken in turn in one run.

    python benchmarks/samplers.py [--device cuda] [--threads 1] [--repeats 1000]

Cases: 1000 and 2000 proposals with the objects of an image added; much of the background hard or
little; less foreground than its share of 128, so that there is nothing to balance, or more.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

# before torch is imported: waiting threads that spin spoil every figure on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

from paddlex_maskrcnn.modeling.registries import ROI_SAMPLER

NUM_CLASSES, NUM_IMAGES, NUM_OBJECTS = 80, 100, 30


def draw_image(
    num: int, share_foreground: float, hardness: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """IoU and labels of proposals; a hardness of 1 spreads the IoU of background evenly."""
    max_iou = torch.rand(num) ** (1 / hardness) * 0.5
    is_foreground = torch.rand(num) < share_foreground
    max_iou[is_foreground] += 0.5
    classes = torch.randint(NUM_CLASSES, (num,))
    return max_iou, torch.where(is_foreground, classes, NUM_CLASSES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch on the CPU")
    parser.add_argument("--repeats", type=int, default=1000)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(
        f"torch {torch.__version__}, {args.device}, {args.threads} threads, medians in microseconds"
    )
    for num in (1000 + NUM_OBJECTS, 2000 + NUM_OBJECTS):
        for share_foreground in (0.02, 0.2):
            for hardness in (1 / 3, 1.0):
                images = [draw_image(num, share_foreground, hardness) for _ in range(NUM_IMAGES)]
                images = [tuple(tensor.to(args.device) for tensor in image) for image in images]
                times = medians(images, args.repeats)
                ratio = times["libra_sampler"] / times["random_sampler"]
                title = (
                    f"{num} proposals, foreground {share_foreground:.0%}, hardness {hardness:.1f}"
                )
                print(f"{title:48s}", {k: round(v) for k, v in times.items()}, f"{ratio:.2f}x")


def medians(images: list, repeats: int) -> dict[str, float]:
    """Median microseconds of each sampler, over different images: a repeated one is predicted."""
    times: dict[str, list[float]] = {name: [] for name, _ in ROI_SAMPLER}
    for i in range(repeats):
        for name, sampler in ROI_SAMPLER:
            start = time.perf_counter()
            sampler(*images[i % len(images)], 512, 0.25, NUM_CLASSES)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name].append((time.perf_counter() - start) * 1e6)
    return {name: statistics.median(series) for name, series in times.items()}


if __name__ == "__main__":
    main()
