"""What every operator is, and what it may know of the run that it works in."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_RED_AND_BLUE_SWAPPED = {3: [2, 1, 0], 4: [2, 1, 0, 3]}


@dataclass(frozen=True)
class ImageContext:
    """The images and classes of a run.

    Attributes:
        image_format: 'RGB' or 'BGR', the order of the colours.
        num_channels: of each image.
        labels: names of the classes, or None where no objects are at hand.
        mean: of each channel, in pixel values and RGB order: a neutral colour.
        span: from the darkest to the brightest value of each channel, in RGB order.
        keeps_values: deep pictures keep their values instead of becoming pixels of 0 to 255.
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
        """What is painted where there is no image: a colour given as RGB, or the mean."""
        return self.in_image_order(self.mean if fill_value is None else fill_value)

    def check_fill(self, operator: str, fill_value: list[float] | None) -> None:
        """Raise ValueError when a colour has not one number for each channel."""
        if fill_value is not None and len(fill_value) != self.num_channels:
            raise ValueError(
                f"{operator}.fill_value is {fill_value}; {self.num_channels} numbers are needed, one "
                "for each channel of the images (input_channel)"
            )


class Operator:
    """Base of all transforms.

    An operator keeps each constructor argument in an attribute of the same name; from that follow
    `to_config` and the rebuilding of a pipeline from a saved model. Operators that change pixels
    or geometry are Detectron2 augmentations as well; `Normalize` and `Padding` only declare what
    the model does on its device.
    """

    def to_config(self) -> dict[str, Any]:
        """The constructor arguments, as plain values."""
        names = inspect.signature(type(self).__init__).parameters
        return {name: _plain(getattr(self, name)) for name in names if name != "self"}

    def deterministic(self) -> "Operator | None":
        """The form for prediction, where nothing is random; None if nothing remains."""
        return self

    def check(self, context: ImageContext) -> None:
        """Raise ValueError when this cannot work on the images of a run."""
        return

    def largest_zoom(self, height: int, width: int) -> float | None:
        """For an operator that resizes to a size of its own: the most it enlarges such an image.

        Below one it always shrinks. None for all others.
        """
        return None

    def smallest_size(self, height: int, width: int) -> tuple[int, int] | None:
        """Smallest (height, width) that may come out for such an image, in pixels.

        None if what it does is measured in pixels, so that it has to see the file's own.
        """
        return height, width

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.to_config().items())
        return f"{type(self).__name__}({arguments})"


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
