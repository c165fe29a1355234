"""Padding to a multiple or to a fixed size.

Origin: PaddleX `Padding`. Difference: the operator declares the size and the model pads its batch
with the value that is zero after normalisation; PaddleX wrote zeros into each image. When both
arguments are given, target_size wins, as in PaddleX's code (its docstring says otherwise).
"""

from ...config.signature import takes_rows
from ...config.transform_rows import PaddingParams
from .operator import Operator


class Padding(Operator):
    """Declare the size an image is padded to, right and bottom."""

    @takes_rows(PaddingParams, "Padding")
    def __init__(self, params: PaddingParams) -> None:
        self.coarsest_stride = params.coarsest_stride
        self.target_size = params.target_size

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
                f"Padding.target_size is {[target_width, target_height]} (width, height), smaller than the "
                f"image {[width, height]}; resize to a smaller size or enlarge it"
            )
        return target_height, target_width
