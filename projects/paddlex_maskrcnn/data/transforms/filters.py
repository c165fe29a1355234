"""Local contrast, blur and noise.

`CLAHE` is contrast limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994), after
PaddleX's, which worked on nothing (it gave OpenCV floats); the work is OpenCV's. Differences: grey and
colour images of 8 and of 16 bits, the latter by their lightness (L of Lab).

`RandomBlur` is OpenCV's Gaussian; `RandomNoise` adds a normal distribution, new for each channel. Both
are measured in pixels of the image as it stands: behind the resizing they are the same for
photographs of every size.
"""

from functools import partial

import cv2
import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform

from ...config.operator_params import CLAHEParams, RandomBlurParams, RandomNoiseParams
from ...config.signature import takes_params
from .operator import ImageContext, Operator

_BRIGHTEST = 65535
_WHITE = 100  # lightness of white in Lab
_LAB = {
    True: (cv2.COLOR_RGB2Lab, cv2.COLOR_Lab2RGB),
    False: (cv2.COLOR_BGR2Lab, cv2.COLOR_Lab2BGR),
}


class CLAHE(Operator, d2.Augmentation):
    """Even out contrast tile by tile, in training and in prediction."""

    @takes_params(CLAHEParams, "CLAHE")
    def __init__(self, params: CLAHEParams) -> None:
        self.clip_limit = params.clip_limit
        self.tile_grid_size = params.tile_grid_size

    def get_transform(self, image: np.ndarray, context: ImageContext) -> Transform:
        """Nothing is drawn."""
        is_rgb = context.image_format == "RGB"
        return d2.ColorTransform(lambda img: self._equalized(img, is_rgb))

    def check(self, context: ImageContext) -> None:
        """Raise ValueError for images that are neither grey nor coloured."""
        if context.num_channels not in (1, 3):
            raise ValueError(
                f"CLAHE needs images with 1 or 3 channels, but these have {context.num_channels} "
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

    @takes_params(RandomBlurParams, "RandomBlur")
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

    @takes_params(RandomNoiseParams, "RandomNoise")
    def __init__(self, params: RandomNoiseParams) -> None:
        self.prob = params.prob
        self.std = params.std

    def get_transform(self, image: np.ndarray, context: ImageContext) -> Transform:
        """Draw the strength, and a seed for the noise, for this image."""
        if np.random.random() >= self.prob:
            return d2.NoOpTransform()
        span = np.array(context.in_image_order(context.span))
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
