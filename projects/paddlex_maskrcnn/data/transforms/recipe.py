"""The usual pipeline of R-CNN training in one word.

Origin: PaddleX `ComposedRCNNTransforms`. Difference: an unknown mode is an error; PaddleX took
every mode but 'train' for evaluation.
"""

from ...config.signature import takes_rows
from ...config.transform_rows import ComposedRCNNTransformsParams
from .compose import Compose
from .flip import RandomHorizontalFlip
from .normalize import Normalize
from .operator import Operator
from .padding import Padding
from .resize import ResizeByShort

_STRIDE = 32


class ComposedRCNNTransforms(Compose):
    """Flip (training only), normalise, resize by the short side, pad to a multiple of 32."""

    @takes_rows(ComposedRCNNTransformsParams, "ComposedRCNNTransforms")
    def __init__(self, params: ComposedRCNNTransformsParams) -> None:
        is_mirrored = params.mode == "train" and params.random_horizontal_flip
        flip: list[Operator] = [RandomHorizontalFlip()] if is_mirrored else []
        normalize = Normalize(params.mean, params.std)
        resize = ResizeByShort(*params.min_max_size)
        super().__init__([*flip, normalize, resize, Padding(_STRIDE)])
