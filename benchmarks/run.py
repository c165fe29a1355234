"""Ours, stock Detectron2 and torchvision's Mask R-CNN side by side: `make bench`.

    python benchmarks/run.py [--parts step,predict] [--device cuda] [--amp bf16] [--json bench.json]
                             [--write docs/performance.md]

Parts: training step, prediction, data loading, mask pasting, NMS, COCO evaluation, start-up, peak
memory. All contestants have the same weights, images and settings and take turns; whether their
losses and detections are equal is checked before the clock starts, and the exit status is 1 when they
are not. What is printed is also written as JSON, for `benchmarks/compare.py`.
"""

from __future__ import annotations

import os
import sys

# before torch is imported: waiting threads that spin spoil every figure on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from side_by_side.command import main

if __name__ == "__main__":
    sys.exit(main())
