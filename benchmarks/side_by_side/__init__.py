"""This package against stock Detectron2 and torchvision's Mask R-CNN, on the same work in one run.

`python benchmarks/run.py` measures, `python benchmarks/compare.py` compares two runs. One part is one
file: its contestants take turns, and the ratio of two contestants is taken within each round, so that
what else the machine does falls on both.
"""

import warnings

# of Detectron2's and torchvision's imports; nobody who runs a benchmark can do anything about it
warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated")
