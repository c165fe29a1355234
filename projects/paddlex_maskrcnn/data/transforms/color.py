"""Colour jitter as it is usual today.

Origin: torchvision's ColorJitter: brightness times a factor, contrast about the mean grey,
saturation about each pixel's grey, hue turned in HSV, in random order. Differences: OpenCV instead
of float tensors, 8 bits throughout (hue in steps of 1/256); a probability; any number of channels as
long as saturation and hue stay.
"""

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform

from ...config.signature import takes_rows
from ...config.transform_rows import ColorJitterParams
from .colors import channel_means, check_channels, luma, mixed, saturating, scaled
from .operator import Operator
from .setting import Setting


class ColorJitter(Operator, d2.Augmentation):
    """Change brightness, contrast, saturation and hue together."""

    @takes_rows(ColorJitterParams, "ColorJitter")
    def __init__(self, params: ColorJitterParams) -> None:
        self.brightness = params.brightness
        self.contrast = params.contrast
        self.saturation = params.saturation
        self.hue = params.hue
        self.prob = params.prob

    def get_transform(self, image: np.ndarray, setting: Setting) -> Transform:
        """Draw the changes of this image and their order."""
        if np.random.random() >= self.prob:
            return d2.NoOpTransform()
        weights = luma(setting)
        changes: list[Callable[[np.ndarray], np.ndarray]] = []
        for place in np.random.permutation(4):
            name = ("brightness", "contrast", "saturation", "hue")[place]
            reach = getattr(self, name)
            if not reach:
                continue
            if name == "hue":
                turn = np.random.uniform(-reach, reach)
                changes.append(
                    partial(turn_hue, circles=turn, is_rgb=setting.image_format == "RGB")
                )
            else:
                factor = np.random.uniform(max(0.0, 1 - reach), 1 + reach)
                changes.append(partial(_CHANGES[name], factor=factor, weights=weights))
        return d2.ColorTransform(partial(_one_after_another, changes=changes))

    def deterministic(self) -> None:
        """Prediction does not change colours."""
        return

    def check(self, setting: Setting) -> None:
        """Raise ValueError where saturation or hue would have to change without colours."""
        if self.saturation or self.hue:
            what = "saturation and hue (switch them off with saturation=0, hue=0)"
            check_channels("ColorJitter", what, setting)


def brighten(image: np.ndarray, factor: float, weights: np.ndarray) -> np.ndarray:
    """Away from black or towards it."""
    return scaled(image, factor, 0.0)


def contrast(image: np.ndarray, factor: float, weights: np.ndarray) -> np.ndarray:
    """Away from the mean grey of the image or towards it."""
    means = channel_means(image)
    grey = float(means @ weights) if len(means) == 3 else float(means.mean())
    return scaled(image, factor, (1 - factor) * grey)


def saturate(image: np.ndarray, factor: float, weights: np.ndarray) -> np.ndarray:
    """Away from the grey of each pixel or towards it."""
    return mixed(image, saturating(factor, weights), np.zeros(3))


def turn_hue(image: np.ndarray, circles: float, is_rgb: bool) -> np.ndarray:
    """Turn hue by a part of the circle."""
    image = np.ascontiguousarray(image)
    is_bytes = image.dtype == np.uint8
    there, back = _HSV[(is_rgb, is_bytes)]
    if not is_bytes:
        hsv = cv2.cvtColor(image.astype(np.float32, copy=False), there)
        hsv[:, :, 0] = (hsv[:, :, 0] + 360 * circles) % 360
        return cv2.cvtColor(hsv, back).astype(image.dtype, copy=False)
    hsv = cv2.cvtColor(image, there)
    turned = (np.arange(256) + round(256 * circles)) % 256
    hsv[:, :, 0] = cv2.LUT(hsv[:, :, 0], turned.astype(np.uint8))
    return cv2.cvtColor(hsv, back)


_CHANGES = {"brightness": brighten, "contrast": contrast, "saturation": saturate}
_HSV = {
    (True, True): (cv2.COLOR_RGB2HSV_FULL, cv2.COLOR_HSV2RGB_FULL),
    (False, True): (cv2.COLOR_BGR2HSV_FULL, cv2.COLOR_HSV2BGR_FULL),
    (True, False): (cv2.COLOR_RGB2HSV, cv2.COLOR_HSV2RGB),
    (False, False): (cv2.COLOR_BGR2HSV, cv2.COLOR_HSV2BGR),
}


def _one_after_another(
    image: np.ndarray, changes: list[Callable[[np.ndarray], np.ndarray]]
) -> np.ndarray:
    for change in changes:
        image = change(image)
    return image
