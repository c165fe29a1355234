"""Worse pictures: out of focus, and grainy.

The blur is OpenCV's Gaussian, the grain is added noise from a normal distribution, new for each
channel. Both are measured in pixels of the image as it stands: behind the resizing they are the
same for photographs of every size.
"""

from functools import partial

import cv2
import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform

from ...config.signature import takes_rows
from ...config.transform_rows import RandomBlurParams, RandomNoiseParams
from .operator import Operator
from .setting import Setting


class _Degrading(Operator, d2.Augmentation):
    """What both share: only in training, and dependent on the size of a pixel."""

    def deterministic(self) -> None:
        """Prediction takes pictures as they are."""
        return

    def smallest_size(self, height: int, width: int) -> None:
        """Its effect is measured in pixels."""
        return


class RandomBlur(_Degrading):
    """Blur some of the images."""

    @takes_rows(RandomBlurParams, "RandomBlur")
    def __init__(self, params: RandomBlurParams) -> None:
        self.prob = params.prob
        self.sigma = params.sigma

    def get_transform(self, image: np.ndarray) -> Transform:
        """Draw the strength for this image."""
        if np.random.random() >= self.prob:
            return d2.NoOpTransform()
        return d2.ColorTransform(
            partial(_blurred, sigma=np.random.uniform(self.sigma[0], self.sigma[1]))
        )


class RandomNoise(_Degrading):
    """Add noise to some of the images."""

    @takes_rows(RandomNoiseParams, "RandomNoise")
    def __init__(self, params: RandomNoiseParams) -> None:
        self.prob = params.prob
        self.std = params.std

    def get_transform(self, image: np.ndarray, setting: Setting) -> Transform:
        """Draw the strength, and a seed for the noise, for this image."""
        if np.random.random() >= self.prob:
            return d2.NoOpTransform()
        span = np.array(setting.in_image_order(setting.span))
        strength = np.random.uniform(self.std[0], self.std[1]) * span
        seed = np.random.randint(2**31)
        return d2.ColorTransform(partial(_noisy, strength=strength, seed=seed))


def _blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), sigma).reshape(image.shape)


def _noisy(image: np.ndarray, strength: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(image.shape, np.float32)
    noise *= strength.astype(np.float32)
    noise += image
    if image.dtype.kind in "ui":
        limits = np.iinfo(image.dtype)
        np.clip(np.rint(noise, out=noise), limits.min, limits.max, out=noise)
    return noise.astype(image.dtype)
