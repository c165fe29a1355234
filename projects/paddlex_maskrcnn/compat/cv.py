"""`pdx.cv`: PaddleX's other place of data sets, models and operators; re-exports only."""

from .. import datasets
from . import models, transforms

# a package for Python, so that `from paddlex_maskrcnn.cv.models import MaskRCNN` is looked for
__path__: list[str] = []
__all__ = ["datasets", "models", "transforms"]
