"""Colours: the statistics that the network subtracts, and changes of colour for training.

`Normalize` is PaddleX's: ((im - min) / (max - min) - mean) / std. Difference: no pixels are touched
here. The images stay uint8 up to the model, which subtracts and divides on its device; PaddleX
normalised full-resolution float images before resizing them.

`ColorJitter` is torchvision's: brightness times a factor, contrast about the mean grey, saturation
about each pixel's grey, hue turned in HSV, in random order. Differences: OpenCV instead of float
tensors, 8 bits throughout (hue in steps of 1/256); a probability; any number of channels as long as
saturation and hue stay.

`RandomDistort` is PaddleX's: brightness times U(1 - r, 1 + r); contrast about the mean of all values;
saturation about the grey of each pixel; hue turned in YIQ; each with its own probability, in random
order. Differences: hue_range is degrees (PaddleX took it times 180 degrees, so that 18 was any hue at
all); all four make one matrix that goes over the 8-bit image once, and the result is cut to 0..255.

The arithmetic that both share keeps the type of the image: 8-bit values are rounded and cut to
0..255, floats are not.
"""

from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform

from ...config.operator_params import ColorJitterParams, NormalizeParams, RandomDistortParams
from ...config.signature import takes_params
from .operator import ImageContext, Operator

_LARGEST_BYTE = 255
_MOST_CHANNELS = 4  # that OpenCV averages at once
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, RGB
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.321], [0.211, -0.523, 0.311]])  # RGB


class Normalize(Operator):
    """Declare mean and standard deviation of each channel, in RGB order, of pixels in [0, 1]."""

    @takes_params(NormalizeParams, "Normalize")
    def __init__(self, params: NormalizeParams) -> None:
        self.mean, self.std = params.mean, params.std
        self.min_val, self.max_val = params.limits()
        # whether pixels have another range than 8 bits, so that deeper ones must keep their values
        self.declares_range = params.declares_range

    @property
    def pixel_mean(self) -> list[float]:
        """What the model subtracts, in pixel values (0 to 255 for 8 bits), RGB order."""
        spans = zip(self.mean, self.min_val, self.max_val, strict=True)
        return [low + mean * (high - low) for mean, low, high in spans]

    @property
    def pixel_std(self) -> list[float]:
        """What the model divides by, in pixel values, RGB order."""
        spans = zip(self.std, self.min_val, self.max_val, strict=True)
        return [std * (high - low) for std, low, high in spans]

    @property
    def is_default(self) -> bool:
        """Whether these are the defaults, so that the weights' own statistics may win."""
        return self.to_config() == Normalize().to_config()


class ColorJitter(Operator, d2.Augmentation):
    """Change brightness, contrast, saturation and hue together."""

    @takes_params(ColorJitterParams, "ColorJitter")
    def __init__(self, params: ColorJitterParams) -> None:
        self.brightness = params.brightness
        self.contrast = params.contrast
        self.saturation = params.saturation
        self.hue = params.hue
        self.prob = params.prob

    def get_transform(self, image: np.ndarray, context: ImageContext) -> Transform:
        """Draw the changes of this image and their order."""
        if np.random.random() >= self.prob:
            return d2.NoOpTransform()
        weights = luma(context)
        changes: list[Callable[[np.ndarray], np.ndarray]] = []
        for index in np.random.permutation(4):
            name = ("brightness", "contrast", "saturation", "hue")[index]
            reach = getattr(self, name)
            if not reach:
                continue
            if name == "hue":
                turn = np.random.uniform(-reach, reach)
                changes.append(
                    partial(turn_hue, circles=turn, is_rgb=context.image_format == "RGB")
                )
            else:
                factor = np.random.uniform(max(0.0, 1 - reach), 1 + reach)
                changes.append(partial(_CHANGES[name], factor=factor, weights=weights))
        return d2.ColorTransform(partial(_one_after_another, changes=changes))

    def deterministic(self) -> None:
        """Prediction does not change colours."""
        return

    def check(self, context: ImageContext) -> None:
        """Raise ValueError where saturation or hue would have to change without colours."""
        if self.saturation or self.hue:
            what = "saturation and hue (switch them off with saturation=0, hue=0)"
            check_channels("ColorJitter", what, context)


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


class RandomDistort(Operator, d2.Augmentation):
    """Change brightness, contrast, saturation and hue, each of them in some of the images."""

    @takes_params(RandomDistortParams, "RandomDistort")
    def __init__(self, params: RandomDistortParams) -> None:
        self.brightness_range = params.brightness_range
        self.brightness_prob = params.brightness_prob
        self.contrast_range = params.contrast_range
        self.contrast_prob = params.contrast_prob
        self.saturation_range = params.saturation_range
        self.saturation_prob = params.saturation_prob
        self.hue_range = params.hue_range
        self.hue_prob = params.hue_prob

    def get_transform(self, image: np.ndarray, context: ImageContext) -> Transform:
        """Draw what is done to this image, and in which order."""
        distortion = _Distortion(channel_means(image), context)
        steps = [
            (self.brightness_prob, self.brightness_range, distortion.brighten),
            (self.contrast_prob, self.contrast_range, distortion.contrast),
            (self.saturation_prob, self.saturation_range, distortion.saturate),
            (self.hue_prob, self.hue_range, distortion.turn_hue),
        ]
        for index in np.random.permutation(len(steps)):
            prob, reach, change = steps[index]
            if np.random.uniform() < prob:
                change(np.random.uniform(-reach, reach))
        return distortion.transform()

    def deterministic(self) -> None:
        """Prediction does not distort."""
        return

    def check(self, context: ImageContext) -> None:
        """Raise ValueError where saturation or hue would have to change without colours."""
        if self.saturation_prob * self.saturation_range or self.hue_prob * self.hue_range:
            what = "saturation and hue (switch them off with saturation_prob=0, hue_prob=0)"
            check_channels("RandomDistort", what, context)


class _Distortion:
    """The matrix and the offset that the changes so far come to."""

    def __init__(self, means: np.ndarray, context: ImageContext) -> None:
        self.means, self.weights = means, luma(context)
        self.matrix, self.offset = np.eye(len(means)), np.zeros(len(means))
        self.has_colors = False
        self.to_yiq = np.stack([context.in_image_order(row) for row in _TO_YIQ.tolist()])

    def brighten(self, change: float) -> None:
        self._then((1 + change) * np.eye(len(self.means)))

    def contrast(self, change: float) -> None:
        mean = (self.matrix @ self.means + self.offset).mean()
        self._then((1 + change) * np.eye(len(self.means)), -change * mean)

    def saturate(self, change: float) -> None:
        if change:
            self.has_colors = True
            self._then(saturating(1 + change, self.weights))

    def turn_hue(self, degrees: float) -> None:
        if degrees:
            self.has_colors = True
            cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
            turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
            self._then(np.linalg.inv(self.to_yiq) @ turn @ self.to_yiq)

    def transform(self) -> Transform:
        if self.has_colors:
            return d2.ColorTransform(partial(mixed, matrix=self.matrix, offset=self.offset))
        gain, offset = self.matrix[0, 0], self.offset[0]
        return d2.ColorTransform(partial(scaled, gain=gain, offset=offset))

    def _then(self, matrix: np.ndarray, offset: float = 0.0) -> None:
        self.matrix = matrix @ self.matrix
        self.offset = matrix @ self.offset + offset


def luma(context: ImageContext) -> np.ndarray:
    """Weights of brightness in the image's channel order."""
    return np.array(context.in_image_order(LUMA))


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


def check_channels(operator: str, what: str, context: ImageContext) -> None:
    """Raise ValueError where the images have no colours."""
    if context.num_channels != 3:
        raise ValueError(
            f"{operator}: {what} needs images with 3 channels, but these have "
            f"{context.num_channels} (input_channel)"
        )


def _as_type(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind not in "ui":
        return image.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    return np.clip(np.round(image), limits.min, limits.max).astype(dtype)
