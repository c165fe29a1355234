"""`pdx.det`: the names PaddleX scripts expect there; re-exports only."""

from .data import transforms
from .maskrcnn import MaskRCNN
from .report.pictures import visualize

__all__ = ["MaskRCNN", "transforms", "visualize"]
