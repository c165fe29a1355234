"""The operators, by the name that scripts, experiment files and saved models use."""

from .clahe import CLAHE
from .color import ColorJitter
from .compose import Compose
from .crop import RandomCrop
from .degrade import RandomBlur, RandomNoise
from .distort import RandomDistort
from .expand import RandomExpand
from .flip import RandomHorizontalFlip, RandomVerticalFlip
from .jitter import LargeScaleJitter
from .mixup import MixupImage
from .normalize import Normalize
from .operator import Operator
from .padding import Padding
from .paste import CopyPaste
from .recipe import ComposedRCNNTransforms
from .resize import Resize, ResizeByShort
from .rotate import RandomRotate90, RandomRotation

TRANSFORMS: dict[str, type] = {
    "RandomHorizontalFlip": RandomHorizontalFlip,
    "Normalize": Normalize,
    "ResizeByShort": ResizeByShort,
    "Resize": Resize,
    "Padding": Padding,
    "RandomDistort": RandomDistort,
    "RandomExpand": RandomExpand,
    "RandomCrop": RandomCrop,
    "CLAHE": CLAHE,
    "ComposedRCNNTransforms": ComposedRCNNTransforms,
    "LargeScaleJitter": LargeScaleJitter,
    "CopyPaste": CopyPaste,
    "RandomVerticalFlip": RandomVerticalFlip,
    "RandomRotate90": RandomRotate90,
    "RandomRotation": RandomRotation,
    "ColorJitter": ColorJitter,
    "RandomBlur": RandomBlur,
    "RandomNoise": RandomNoise,
}

__all__ = ["TRANSFORMS", "MixupImage", "Operator", *TRANSFORMS, "Compose"]
