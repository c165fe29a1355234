"""What tracing for either kind of file needs."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import torch

_SIZE = (96, 128)  # pixels; the graph takes any size


def example_image(channels: int) -> torch.Tensor:
    """Noise (channels, H, W) to trace with."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(channels, *_SIZE, generator=generator) * 255


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what torch says of tracing being old, and of constants that are constants here."""
    with warnings.catch_warnings():
        for category in (torch.jit.TracerWarning, DeprecationWarning, FutureWarning, UserWarning):
            warnings.filterwarnings("ignore", category=category)
        yield
