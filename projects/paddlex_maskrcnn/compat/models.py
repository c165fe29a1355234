"""`pdx.cv.models`: PaddleX's other place of the model; re-exports only."""

from ..maskrcnn import MaskRCNN, load_model

__all__ = ["MaskRCNN", "load_model"]
