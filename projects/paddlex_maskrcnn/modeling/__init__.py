"""The network's parts. Importing this package registers all of them, here and nowhere else."""

from . import focal_rpn, foreign_anchors, mask_head, meta_arch, nms, roi_heads, rpn, samplers
from .backbones import hrnet, resnet_variant

__all__ = [
    "focal_rpn",
    "foreign_anchors",
    "hrnet",
    "mask_head",
    "meta_arch",
    "nms",
    "resnet_variant",
    "roi_heads",
    "rpn",
    "samplers",
]
