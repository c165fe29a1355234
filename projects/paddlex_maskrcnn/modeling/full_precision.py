"""What becomes losses and boxes leaves 16-bit layers in 32 bits.

Why: under autocast Detectron2 rounds box coordinates to the features' type before pooling, and
bfloat16 has no odd pixels above 256; differences and exponentials of 16-bit deltas lose as much.
What: forward hooks on the modules whose outputs are features to pool from, scores, deltas or mask
logits. Without autocast they change nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def keep_full_precision(*modules: nn.Module) -> None:
    """Make every 16-bit tensor in these modules' outputs a 32-bit one."""
    for module in modules:
        module.register_forward_hook(lambda _module, _inputs, outputs: as_float(outputs))


def as_float(value: Any) -> Any:
    """The value with its floating-point tensors in 32 bits; lists, tuples and dicts keep their form."""
    if isinstance(value, torch.Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: as_float(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(as_float(one) for one in value)
    return value
