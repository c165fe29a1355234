"""Parameters with all that is needed to load them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .input_format import InputFormat


@dataclass(frozen=True)
class WeightSource:
    """Weights that can be loaded into a network.

    Attributes:
        name: for messages: the path, or the catalogue's name.
        state: Detectron2's parameter names -> tensors; a bare backbone's begin at `stem.`.
        input_format: how images must look for them.
    """

    name: str
    state: dict[str, torch.Tensor]
    input_format: InputFormat
