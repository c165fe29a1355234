"""The operators, by the name that scripts, experiment files and saved models use."""

from .compose import Compose
from .flip import RandomHorizontalFlip
from .normalize import Normalize
from .operator import Operator
from .padding import Padding
from .recipe import ComposedRCNNTransforms
from .resize import ResizeByShort

TRANSFORMS: dict[str, type] = {
    "RandomHorizontalFlip": RandomHorizontalFlip,
    "Normalize": Normalize,
    "ResizeByShort": ResizeByShort,
    "Padding": Padding,
    "ComposedRCNNTransforms": ComposedRCNNTransforms,
}

__all__ = ["TRANSFORMS", "Operator", *TRANSFORMS, "Compose"]
