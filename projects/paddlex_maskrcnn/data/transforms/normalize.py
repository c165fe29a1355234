"""Pixel statistics.

Origin: PaddleX `Normalize`: ((im - min) / (max - min) - mean) / std. Difference: no pixels are
touched here. The images stay uint8 up to the model, which subtracts and divides on its device;
PaddleX normalised full-resolution float images before resizing them.
"""

from collections.abc import Sequence

from .arguments import check_numbers, fail
from .operator import Operator

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_LARGEST_BYTE = 255


class Normalize(Operator):
    """Declare mean and standard deviation of each channel, in RGB order, of pixels in [0, 1]."""

    def __init__(
        self,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        min_val: Sequence[float] = (0, 0, 0),
        max_val: Sequence[float] = (255, 255, 255),
    ) -> None:
        """Keep the statistics.

        Args:
            mean: of each channel, after the channel was scaled from [min_val, max_val] to [0, 1].
            std: likewise.
            min_val: the pixel value that becomes 0; left as it is, it fits any number of channels.
            max_val: the pixel value that becomes 1; likewise.

        Raises:
            ValueError: if the lengths differ, a std is not positive, or max_val <= min_val.
        """
        self.mean = check_numbers("Normalize", "mean", mean)
        self.std = check_numbers("Normalize", "std", std)
        channels = len(self.mean)
        self.min_val = _for_channels("min_val", min_val, 0.0, channels)
        self.max_val = _for_channels("max_val", max_val, 255.0, channels)
        for name in ("std", "min_val", "max_val"):
            if len(getattr(self, name)) != channels:
                raise fail("Normalize", name, f"as long as mean ({channels})", getattr(self, name))
        if any(s <= 0 for s in self.std):
            raise fail("Normalize", "std", "positive for each channel", self.std)
        if any(high <= low for low, high in zip(self.min_val, self.max_val, strict=True)):
            raise fail("Normalize", "max_val", f"above min_val {self.min_val}", self.max_val)

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


def _for_channels(
    argument: str, value: Sequence[float], default: float, channels: int
) -> list[float]:
    numbers = check_numbers("Normalize", argument, value)
    return [default] * channels if numbers == [default] * 3 else numbers
