"""The network's parts. Importing this package registers all of them, here and nowhere else."""

from . import box_predictor, meta_arch, roi_heads, rpn  # noqa: F401
from .nms import hard  # noqa: F401
from .samplers import random  # noqa: F401
