"""Worse pictures: out of focus, and grainy.

The blur is OpenCV's Gaussian, the grain is added noise from a normal distribution, new for each
channel. Both are measured in pixels of the image as it stands: behind the resizing they are the
same for photographs of every size.
"""

from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform

from .arguments import check_fraction, check_range
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

    def __init__(self, *, prob: float = 0.1, sigma: Sequence[float] = (0.1, 2.0)) -> None:
        """Check the arguments.

        Args:
            prob: share of the images that are blurred.
            sigma: [lowest, highest] standard deviation in pixels.

        Raises:
            ValueError: if prob is not from 0 to 1 or sigma not two positive numbers in order.
        """
        self.prob = check_fraction("RandomBlur", "prob", prob)
        self.sigma = check_range("RandomBlur", "sigma", sigma, 0.01)

    def get_transform(self, image: np.ndarray) -> Transform:
        """Draw the strength for this image."""
        if np.random.random() >= self.prob:
            return d2.NoOpTransform()
        return d2.ColorTransform(partial(_blurred, sigma=np.random.uniform(*self.sigma)))


class RandomNoise(_Degrading):
    """Add noise to some of the images."""

    def __init__(self, *, prob: float = 0.1, std: Sequence[float] = (0.01, 0.05)) -> None:
        """Check the arguments.

        Args:
            prob: share of the images that get noise.
            std: [lowest, highest] standard deviation, as a share of the way from black to white
                (min_val to max_val of `Normalize`).

        Raises:
            ValueError: if prob is not from 0 to 1 or std not two numbers from 0 to 1 in order.
        """
        self.prob = check_fraction("RandomNoise", "prob", prob)
        self.std = check_range("RandomNoise", "std", std, 0, 1)

    def get_transform(self, image: np.ndarray, setting: Setting) -> Transform:
        """Draw the strength, and a seed for the noise, for this image."""
        if np.random.random() >= self.prob:
            return d2.NoOpTransform()
        strength = np.random.uniform(*self.std) * np.array(setting.in_image_order(setting.span))
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
