"""`pdx.datasets`: the names PaddleX scripts expect there; re-exports only."""

from typing import Any

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

# a package for Python, so that `from paddlex_maskrcnn.datasets import ImageNet` shows the sentence below
__path__: list[str] = []


def __getattr__(name: str) -> Any:
    if name == "analysis":
        from .compat import analysis

        return analysis
    from .compat.refused import sentence_for

    raise AttributeError(
        sentence_for(f"datasets.{name}") or f"module {__name__!r} has no attribute {name!r}",
        name=name,
    )
