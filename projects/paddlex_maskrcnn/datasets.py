"""`pdx.datasets`: the names PaddleX scripts expect there; re-exports only."""

from .data.datasets.coco import CocoDetection
from .data.datasets.drawn import DrawnShapes

__all__ = ["CocoDetection", "DrawnShapes"]
