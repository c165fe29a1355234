"""Arithmetic on colours that the colour operators share.

All of it keeps the type of the image: 8-bit values are rounded and cut to 0..255, floats are not.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from .setting import Setting

_MOST_CHANNELS = 4  # that OpenCV averages at once
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, RGB


def luma(setting: Setting) -> np.ndarray:
    """Weights of brightness in the image's channel order."""
    return np.array(setting.in_image_order(LUMA))


def channel_means(image: np.ndarray) -> np.ndarray:
    """(C,) mean of each channel."""
    planes = np.array_split(image, -(-image.shape[2] // _MOST_CHANNELS), axis=2)
    means = [cv2.mean(np.ascontiguousarray(group))[: group.shape[2]] for group in planes]
    return np.concatenate(means)


def scaled(image: np.ndarray, gain: float, offset: float) -> np.ndarray:
    """gain * value + offset, for any number of channels."""
    if image.dtype == np.uint8:
        table = gain * np.arange(256) + offset
        return cv2.LUT(image, np.clip(np.round(table), 0, 255).astype(np.uint8)).reshape(
            image.shape
        )
    return _as_type(gain * image.astype(np.float32) + offset, image.dtype)


def mixed(
    image: np.ndarray, matrix: np.ndarray, offset: Sequence[float] | np.ndarray
) -> np.ndarray:
    """matrix @ colour + offset, for three channels."""
    both = np.hstack([matrix, np.reshape(offset, (3, 1))])
    return cv2.transform(np.ascontiguousarray(image), both)


def saturating(share: float, weights: np.ndarray) -> np.ndarray:
    """The matrix that moves colours away from their grey (above 1) or towards it."""
    return share * np.eye(3) + (1 - share) * np.tile(weights, (3, 1))


def check_channels(operator: str, what: str, setting: Setting) -> None:
    """Raise ValueError where the images have no colours."""
    if setting.num_channels != 3:
        raise ValueError(
            f"{operator}: {what} needs images with 3 channels, but these have "
            f"{setting.num_channels} (input_channel)"
        )


def _as_type(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind not in "ui":
        return image.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    return np.clip(np.round(image), limits.min, limits.max).astype(dtype)
