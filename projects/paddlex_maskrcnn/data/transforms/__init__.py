"""The operators, by the name that scripts, experiment files and saved models use."""

from .color import ColorJitter, Normalize, RandomDistort
from .compose import TRANSFORMS, Compose, ComposedRCNNTransforms
from .crop import RandomCrop, RandomExpand
from .filters import CLAHE, RandomBlur, RandomNoise
from .flip import RandomHorizontalFlip, RandomVerticalFlip
from .operator import Operator
from .paste import CopyPaste, MixupImage
from .resize import LargeScaleJitter, Padding, Resize, ResizeByShort
from .rotate import RandomRotate90, RandomRotation

__all__ = [
    "CLAHE",
    "TRANSFORMS",
    "ColorJitter",
    "Compose",
    "ComposedRCNNTransforms",
    "CopyPaste",
    "LargeScaleJitter",
    "MixupImage",
    "Normalize",
    "Operator",
    "Padding",
    "RandomBlur",
    "RandomCrop",
    "RandomDistort",
    "RandomExpand",
    "RandomHorizontalFlip",
    "RandomNoise",
    "RandomRotate90",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "ResizeByShort",
]
