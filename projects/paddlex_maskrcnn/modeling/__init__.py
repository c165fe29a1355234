"""The network's parts: plain subclasses of Detectron2's. Importing this package registers them."""

from . import conventions, hrnet, meta_arch, nms, resnet, roi_heads, rpn, samplers

__all__ = ["conventions", "hrnet", "meta_arch", "nms", "resnet", "roi_heads", "rpn", "samplers"]
