"""Tensors that are the same on every machine: drawn for each name by itself, whatever is built first."""

import hashlib
import math
from collections.abc import Iterable, Mapping

import torch

# Heads are turned down, so that scores are far from 0 and 1 and boxes near their anchors.
_GAINS = {
    "cls_score.weight": 0.4,
    "bbox_pred.weight": 0.4,
    "anchor_deltas.weight": 0.2,
    "conv_offset.weight": 0.1,
}


def uniform(name: str, shape: Iterable[int], low: float, high: float) -> torch.Tensor:
    """Values that depend on the name alone; uniform ones are exact bits on every CPU, normal ones not."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6])
    numbers = torch.rand(tuple(shape), generator=torch.Generator().manual_seed(seed))
    return numbers * (high - low) + low


def seeded_weight(name: str, shape: Iterable[int]) -> torch.Tensor:
    """A value for a parameter or buffer that keeps activations in range through deep networks."""
    shape = tuple(shape)
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if len(shape) > 1:
        # ConvTranspose2d has its inputs first; its two sides differ little here
        limit = math.sqrt(6 / math.prod(shape[1:]))
        limit *= next((gain for end, gain in _GAINS.items() if name.endswith(end)), 1.0)
        return uniform(name, shape, -limit, limit)
    if name.endswith("running_var"):
        return uniform(name, shape, 0.8, 1.2)
    if name.endswith("weight"):  # of a norm
        return uniform(name, shape, 0.3, 0.5)
    return uniform(name, shape, -0.05, 0.05)


def seeded_weights(
    shapes: Mapping[str, Iterable[int]], prefix: str = ""
) -> dict[str, torch.Tensor]:
    """A state dict of these names and shapes; another prefix gives other values."""
    return {name: seeded_weight(prefix + name, shape) for name, shape in shapes.items()}
