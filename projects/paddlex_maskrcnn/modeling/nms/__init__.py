"""Ways to drop overlapping detections (registry BOX_NMS)."""

from .diou import diou_nms
from .hard import hard_nms
from .matrix import matrix_nms
from .settings import NMSSettings
from .soft import soft_nms

__all__ = ["NMSSettings", "diou_nms", "hard_nms", "matrix_nms", "soft_nms"]
