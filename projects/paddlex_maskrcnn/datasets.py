"""`pdx.datasets`: the names PaddleX scripts expect there; re-exports only."""

from .data.datasets import (
    CocoDetection,
    DrawnShapes,
    EasyDataDet,
    Joined,
    LabelMeDetection,
    VOCDetection,
    YoloSegmentation,
    join,
    open_dataset,
)

__all__ = [
    "CocoDetection",
    "DrawnShapes",
    "EasyDataDet",
    "Joined",
    "LabelMeDetection",
    "VOCDetection",
    "YoloSegmentation",
    "join",
    "open_dataset",
]
