"""Colours distorted as PaddleX does it.

Origin: PaddleX `RandomDistort`: brightness times U(1 - r, 1 + r); contrast about the mean of all
values; saturation about the grey of each pixel; hue turned in YIQ; each with its own probability, in
random order. Differences: hue_range is degrees (PaddleX took it times 180 degrees, so that 18 was
any hue at all); all four make one matrix that goes over the 8-bit image once, and the result is cut
to 0..255.
"""

from functools import partial

import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform

from ...config.signature import takes_rows
from ...config.transform_rows import RandomDistortParams
from .colors import channel_means, check_channels, luma, mixed, saturating, scaled
from .operator import Operator
from .setting import Setting

_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.321], [0.211, -0.523, 0.311]])


class RandomDistort(Operator, d2.Augmentation):
    """Change brightness, contrast, saturation and hue, each of them in some of the images."""

    @takes_rows(RandomDistortParams, "RandomDistort")
    def __init__(self, params: RandomDistortParams) -> None:
        self.brightness_range = params.brightness_range
        self.brightness_prob = params.brightness_prob
        self.contrast_range = params.contrast_range
        self.contrast_prob = params.contrast_prob
        self.saturation_range = params.saturation_range
        self.saturation_prob = params.saturation_prob
        self.hue_range = params.hue_range
        self.hue_prob = params.hue_prob

    def get_transform(self, image: np.ndarray, setting: Setting) -> Transform:
        """Draw what is done to this image, and in which order."""
        distortion = _Distortion(channel_means(image), setting)
        steps = [
            (self.brightness_prob, self.brightness_range, distortion.brighten),
            (self.contrast_prob, self.contrast_range, distortion.contrast),
            (self.saturation_prob, self.saturation_range, distortion.saturate),
            (self.hue_prob, self.hue_range, distortion.turn_hue),
        ]
        for place in np.random.permutation(len(steps)):
            prob, reach, change = steps[place]
            if np.random.uniform() < prob:
                change(np.random.uniform(-reach, reach))
        return distortion.transform()

    def deterministic(self) -> None:
        """Prediction does not distort."""
        return

    def check(self, setting: Setting) -> None:
        """Raise ValueError where saturation or hue would have to change without colours."""
        if self.saturation_prob * self.saturation_range or self.hue_prob * self.hue_range:
            what = "saturation and hue (switch them off with saturation_prob=0, hue_prob=0)"
            check_channels("RandomDistort", what, setting)


class _Distortion:
    """The matrix and the offset that the changes so far come to."""

    def __init__(self, means: np.ndarray, setting: Setting) -> None:
        self.means, self.weights = means, luma(setting)
        self.matrix, self.offset = np.eye(len(means)), np.zeros(len(means))
        self.has_colors = False
        self.to_yiq = np.stack([setting.in_image_order(row) for row in _TO_YIQ.tolist()])

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
