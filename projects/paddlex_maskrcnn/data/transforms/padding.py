"""Padding to a multiple or to a fixed size.

Origin: PaddleX `Padding`. Difference: the operator declares the size and the model pads its batch
with the value that is zero after normalisation; PaddleX wrote zeros into each image. When both
arguments are given, target_size wins, as in PaddleX's code (its docstring says otherwise).
"""

from collections.abc import Sequence

from .arguments import check_integer, fail, is_integer
from .operator import Operator


class Padding(Operator):
    """Declare the size an image is padded to, right and bottom."""

    def __init__(
        self, coarsest_stride: int = 1, target_size: int | Sequence[int] | None = None
    ) -> None:
        """Check the arguments.

        Args:
            coarsest_stride: both sides become a multiple of this, in pixels.
            target_size: the padded side, or [width, height], in pixels; wins over the stride.

        Raises:
            ValueError: if an argument is not positive whole pixels.
        """
        self.coarsest_stride = check_integer("Padding", "coarsest_stride", coarsest_stride, 1)
        self.target_size = None if target_size is None else _checked_target(target_size)

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) after padding an image of this size, in pixels.

        Raises:
            ValueError: if the image is larger than target_size.
        """
        if self.target_size is None:
            stride = self.coarsest_stride
            return -(-height // stride) * stride, -(-width // stride) * stride
        target = self.target_size
        target_width, target_height = (target, target) if isinstance(target, int) else target
        if height > target_height or width > target_width:
            raise ValueError(
                f"Padding: target_size {[target_width, target_height]} (width, height) is smaller "
                f"than the image {[width, height]}; resize to a smaller size or enlarge it"
            )
        return target_height, target_width


def _checked_target(target_size: int | Sequence[int]) -> int | list[int]:
    if isinstance(target_size, int):
        return check_integer("Padding", "target_size", target_size, 1)
    is_pair = isinstance(target_size, Sequence) and len(target_size) == 2
    if not is_pair or not all(is_integer(side) and side >= 1 for side in target_size):
        raise fail("Padding", "target_size", "an integer >= 1 or [width, height]", target_size)
    return list(target_size)
