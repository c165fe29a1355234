"""The usual pipeline of R-CNN training in one word.

Origin: PaddleX `ComposedRCNNTransforms`. Difference: an unknown mode is an error; PaddleX took
every mode but 'train' for evaluation.
"""

from collections.abc import Sequence

from .arguments import fail
from .compose import Compose
from .flip import RandomHorizontalFlip
from .normalize import IMAGENET_MEAN, IMAGENET_STD, Normalize
from .operator import Operator
from .padding import Padding
from .resize import ResizeByShort

MODES = ("train", "eval", "test")
_STRIDE = 32


class ComposedRCNNTransforms(Compose):
    """Flip (training only), normalise, resize by the short side, pad to a multiple of 32."""

    def __init__(
        self,
        mode: str,
        min_max_size: Sequence[int] = (800, 1333),
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        random_horizontal_flip: bool = True,
    ) -> None:
        """Build the pipeline.

        Args:
            mode: 'train', 'eval' or 'test'; the last two are the same.
            min_max_size: short side and limit of the long side, in pixels.
            mean: of each channel, of pixels in [0, 1].
            std: likewise.

        Raises:
            ValueError: if mode or min_max_size is not what is allowed.
        """
        name = "ComposedRCNNTransforms"
        if mode not in MODES:
            raise fail(name, "mode", "one of " + ", ".join(map(repr, MODES)), mode)
        if not isinstance(min_max_size, Sequence) or len(min_max_size) != 2:
            raise fail(name, "min_max_size", "[short side, limit of the long side]", min_max_size)
        if not isinstance(random_horizontal_flip, bool):
            raise fail(name, "random_horizontal_flip", "True or False", random_horizontal_flip)
        flip: list[Operator] = [RandomHorizontalFlip()]
        super().__init__(
            (flip if mode == "train" and random_horizontal_flip else [])
            + [Normalize(mean, std), ResizeByShort(*min_max_size), Padding(_STRIDE)]
        )
