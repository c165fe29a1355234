"""What operators may know of the run that they work in."""

from collections.abc import Sequence
from dataclasses import dataclass

_RED_AND_BLUE_SWAPPED = {3: [2, 1, 0], 4: [2, 1, 0, 3]}


@dataclass(frozen=True)
class Setting:
    """The images and classes of a run.

    Attributes:
        image_format: 'RGB' or 'BGR', the order of the colours.
        num_channels: of each image.
        labels: names of the classes, or None where no objects are at hand.
        mean: of each channel, in pixel values and RGB order: a neutral ground.
        span: from the darkest to the brightest value of each channel, in RGB order.
        keeps_values: pictures of 16 bits keep their values instead of being scaled to 8 bits.
    """

    image_format: str = "RGB"
    num_channels: int = 3
    labels: tuple[str, ...] | None = None
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    span: tuple[float, ...] = (255.0, 255.0, 255.0)
    keeps_values: bool = False

    def in_image_order(self, values: Sequence[float]) -> list[float]:
        """Values that a user gave in RGB order, in the order of the image's channels."""
        order = _RED_AND_BLUE_SWAPPED.get(len(values)) if self.image_format == "BGR" else None
        return [values[channel] for channel in order] if order else list(values)

    def fill(self, fill_value: Sequence[float] | None) -> list[float]:
        """What empty ground is painted with: a colour given as RGB, or the mean."""
        return self.in_image_order(self.mean if fill_value is None else fill_value)
