"""What the ways to drop overlapping detections can be told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NMSSettings:
    """Settings shared by all functions of `BOX_NMS`; each uses those it needs.

    Attributes:
        iou_threshold: overlap, a fraction, above which the lower-scored box goes.
        score_threshold: score a box has to exceed, also after its score was lowered.
        sigma: width of the Gaussian of soft-NMS.
        top_k: number of boxes to keep at most; -1 keeps all.
    """

    iou_threshold: float = 0.5
    score_threshold: float = 0.05
    sigma: float = 0.5
    top_k: int = -1
