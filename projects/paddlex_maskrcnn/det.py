"""`pdx.det`: the names PaddleX scripts expect there, and converters of results; re-exports only."""

from typing import Any

from .config.profiles import profile
from .data import transforms
from .inference.interop import default_predictor_cfg
from .inference.results import to_instances, to_supervision
from .maskrcnn import MaskRCNN
from .report.curves import coco_error_analysis, draw_pr_curve
from .report.pictures import visualize

__all__ = [
    "MaskRCNN",
    "coco_error_analysis",
    "default_predictor_cfg",
    "draw_pr_curve",
    "profile",
    "to_instances",
    "to_supervision",
    "transforms",
    "visualize",
]

# a package for Python, so that `from paddlex_maskrcnn.det import YOLOv3` shows the sentence below
__path__: list[str] = []


def __getattr__(name: str) -> Any:
    from .compat.refused import sentence_for

    raise AttributeError(
        sentence_for(f"det.{name}") or f"module {__name__!r} has no attribute {name!r}", name=name
    )
