"""Ways to drop overlapping detections (registry BOX_NMS)."""

from .hard import hard_nms
from .settings import NMSSettings

__all__ = ["NMSSettings", "hard_nms"]
