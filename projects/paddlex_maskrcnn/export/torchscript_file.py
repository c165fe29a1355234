"""Write a network as a TorchScript file, and run such a file.

What: `torch.jit.trace`; the score threshold is the buffer `score_threshold`. Loading needs torch and
torchvision, whose operators it uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .tracing import example_image, quiet


class _OneInput(nn.Module):
    """The network as a function of the image, its threshold a buffer that can be set."""

    score_threshold: Tensor

    def __init__(self, network: nn.Module, threshold: float) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("score_threshold", torch.tensor(threshold))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.network(image, self.score_threshold)


def write_torchscript(
    network: nn.Module, path: Path, channels: int, threshold: float, metadata: Mapping[str, str]
) -> None:
    """Write a file; arguments as `write_onnx`, the metadata becomes extra files in it."""
    with torch.no_grad(), quiet():
        traced = torch.jit.trace(
            _OneInput(network, threshold).eval(), example_image(channels), check_trace=False
        )
        torch.jit.save(traced, str(path), _extra_files=dict(metadata))


class TorchScriptRunner:
    """A file in torch on the CPU."""

    name = "TorchScript"

    def __init__(self, path: Path) -> None:
        """Open the file."""
        with quiet():
            self._module = torch.jit.load(str(path), map_location="cpu")

    @torch.no_grad()
    def __call__(self, image: Tensor, threshold: float) -> list[np.ndarray]:
        """Boxes, scores, labels, masks of an image (C, H, W) at a score threshold."""
        self._module.score_threshold.fill_(threshold)
        return [output.numpy() for output in self._module(image)]
