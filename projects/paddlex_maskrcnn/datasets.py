"""`pdx.datasets`: the names PaddleX scripts expect there; re-exports only."""

from .data.datasets import (
    CocoDetection,
    CvatDetection,
    DrawnShapes,
    EasyDataDet,
    Joined,
    LabelMeDetection,
    LabelStudioDetection,
    VOCDetection,
    YoloSegmentation,
    join,
    open_dataset,
)

__all__ = [
    "CocoDetection",
    "CvatDetection",
    "DrawnShapes",
    "EasyDataDet",
    "Joined",
    "LabelMeDetection",
    "LabelStudioDetection",
    "VOCDetection",
    "YoloSegmentation",
    "join",
    "open_dataset",
]
