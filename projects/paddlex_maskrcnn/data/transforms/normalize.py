"""Pixel statistics.

Origin: PaddleX `Normalize`: ((im - min) / (max - min) - mean) / std. Difference: no pixels are
touched here. The images stay uint8 up to the model, which subtracts and divides on its device;
PaddleX normalised full-resolution float images before resizing them.
"""

from ...config.signature import takes_rows
from ...config.transform_rows import NormalizeParams
from .operator import Operator

_LARGEST_BYTE = 255


class Normalize(Operator):
    """Declare mean and standard deviation of each channel, in RGB order, of pixels in [0, 1]."""

    @takes_rows(NormalizeParams, "Normalize")
    def __init__(self, params: NormalizeParams) -> None:
        self.mean, self.std = params.mean, params.std
        self.min_val, self.max_val = params.limits()

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
    def exceeds_bytes(self) -> bool:
        """Whether pixels have values above 255, so that 16 bits must not be brought down to 8."""
        return max(self.max_val) > _LARGEST_BYTE

    @property
    def is_default(self) -> bool:
        """Whether these are the defaults, so that the weights' own statistics may win."""
        return self.to_config() == Normalize().to_config()
