"""Batch norms whose statistics a publisher has folded into scale and offset."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

NORM_EPSILON = 1e-5  # of Detectron2's and PaddlePaddle's batch norms


def identity_statistics(arrays: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Statistics for the norms without: mean 0 and variance 1 - epsilon, which leave the affine part.

    Args:
        arrays: by Detectron2's names.
    """
    added: dict[str, NDArray] = {}
    for name, scale in arrays.items():
        norm, _, field = name.rpartition(".norm.")
        if field == "weight" and f"{norm}.norm.running_var" not in arrays:
            added[f"{norm}.norm.running_mean"] = np.zeros_like(scale)
            added[f"{norm}.norm.running_var"] = np.full_like(scale, 1 - NORM_EPSILON)
    return added
