"""Local contrast.

What: contrast limited adaptive histogram equalisation. Paper: Zuiderveld, Graphics Gems IV, 1994.
Origin: PaddleX `CLAHE`, which worked on nothing (it gave OpenCV floats); the work is OpenCV's.
Differences: grey and colour images of 8 and of 16 bits, the latter by their lightness (L of Lab).
"""

import cv2
import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform

from ...config.signature import takes_rows
from ...config.transform_rows import CLAHEParams
from .operator import Operator
from .setting import Setting

_BRIGHTEST = 65535
_WHITE = 100  # lightness of white in Lab
_LAB = {
    True: (cv2.COLOR_RGB2Lab, cv2.COLOR_Lab2RGB),
    False: (cv2.COLOR_BGR2Lab, cv2.COLOR_Lab2BGR),
}


class CLAHE(Operator, d2.Augmentation):
    """Even out contrast tile by tile, in training and in prediction."""

    @takes_rows(CLAHEParams, "CLAHE")
    def __init__(self, params: CLAHEParams) -> None:
        self.clip_limit = params.clip_limit
        self.tile_grid_size = params.tile_grid_size

    def get_transform(self, image: np.ndarray, setting: Setting) -> Transform:
        """Nothing is drawn."""
        is_rgb = setting.image_format == "RGB"
        return d2.ColorTransform(lambda img: self._equalized(img, is_rgb))

    def check(self, setting: Setting) -> None:
        """Raise ValueError for images that are neither grey nor coloured."""
        if setting.num_channels not in (1, 3):
            raise ValueError(
                f"CLAHE needs images with 1 or 3 channels, but these have {setting.num_channels} "
                "(input_channel)"
            )

    def _equalized(self, image: np.ndarray, is_rgb: bool) -> np.ndarray:
        limiter = cv2.createCLAHE(self.clip_limit, tuple(self.tile_grid_size))
        whole = _integers(image)
        if image.shape[2] == 1:
            return limiter.apply(whole[:, :, 0])[:, :, None].astype(image.dtype)
        there, back = _LAB[is_rgb]
        if whole.dtype == np.uint8:
            lab = cv2.cvtColor(whole, there)
            lab[:, :, 0] = limiter.apply(lab[:, :, 0])
            return cv2.cvtColor(lab, back)
        lab = cv2.cvtColor(whole.astype(np.float32) / _BRIGHTEST, there)
        lightness = np.rint(lab[:, :, 0] * (_BRIGHTEST / _WHITE)).astype(np.uint16)
        lab[:, :, 0] = limiter.apply(lightness) * np.float32(_WHITE / _BRIGHTEST)
        return np.rint(cv2.cvtColor(lab, back) * _BRIGHTEST).astype(image.dtype)


def _integers(image: np.ndarray) -> np.ndarray:
    """Values as OpenCV takes them; the reader hands 16 bits over as whole floats."""
    image = np.ascontiguousarray(image)
    if image.dtype in (np.uint8, np.uint16):
        return image
    whole = image.astype(np.uint16) if image.min() >= 0 and image.max() <= _BRIGHTEST else None
    if whole is None or not np.array_equal(whole, image):
        raise ValueError(
            "CLAHE needs images of 8 or 16 bits; this one has values that are no whole numbers "
            f"from 0 to {_BRIGHTEST}"
        )
    return whole
