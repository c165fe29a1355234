"""Arrays of PaddleX's Mask R-CNN in Detectron2's layout.

Facts: behaviour notes of PaddleX 1.3, §2.2 (anchor order), §3.3 and §4 (heads). PaddleX counts
background as class 0; Detectron2 has it last among the scores and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .folded_norms import identity_statistics
from .paddle_maskrcnn import to_detectron2


def transpose_fc(weight: NDArray) -> NDArray:
    """Weight of a fully connected layer from (in, out) to (out, in)."""
    return np.ascontiguousarray(weight.T)


def move_background_last(rows: NDArray) -> NDArray:
    """Rows of classes 0 (background), 1, … K to the order 1, … K, background."""
    return np.concatenate([rows[1:], rows[:1]])


def drop_background(rows: NDArray, rows_per_class: int = 1) -> NDArray:
    """Rows of all classes without those of class 0, the background."""
    return rows[rows_per_class:]


def sizes_before_ratios(rows: NDArray, num_sizes: int, rows_per_anchor: int = 1) -> NDArray:
    """Rows per anchor from ratio-major to Detectron2's size-major order.

    Raises:
        ValueError: the rows cannot be divided by num_sizes.
    """
    per_ratio = num_sizes * rows_per_anchor
    if len(rows) % per_ratio:
        raise ValueError(
            f"num_anchor_sizes: {num_sizes} does not divide the {len(rows) // rows_per_anchor} "
            "anchors per place of this model"
        )
    by_ratio = rows.reshape(-1, num_sizes, rows_per_anchor, *rows.shape[1:])
    return by_ratio.swapaxes(0, 1).reshape(rows.shape)


def convert(arrays: Mapping[str, NDArray], num_anchor_sizes: int = 1) -> dict[str, NDArray]:
    """A whole model, names and layouts; where statistics were folded into the affine, 0 and 1.

    Args:
        arrays: by Paddle's names.
        num_anchor_sizes: anchor sizes on one map: 1 with a pyramid, without it all (5 by default).

    Raises:
        ValueError: an unknown name, or anchors that num_anchor_sizes does not divide.
    """
    converted = {
        ours: _adapt(ours, arrays[name], num_anchor_sizes)
        for name, ours in to_detectron2(arrays).items()
        if ours is not None
    }
    return converted | identity_statistics(converted)


def _adapt(ours: str, array: NDArray, num_anchor_sizes: int) -> NDArray:
    if re.search(r"\.(fc\d|cls_score|bbox_pred)\.weight$", ours):
        array = transpose_fc(array)
    if ".cls_score." in ours:
        return move_background_last(array)
    if ".bbox_pred." in ours:
        return drop_background(array, rows_per_class=4)
    if ".mask_head.predictor." in ours:
        return drop_background(array)
    if ".objectness_logits." in ours:
        return sizes_before_ratios(array, num_anchor_sizes)
    if ".anchor_deltas." in ours:
        return sizes_before_ratios(array, num_anchor_sizes, rows_per_anchor=4)
    return array
