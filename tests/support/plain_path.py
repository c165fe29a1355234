"""Computing Detectron2's way for a while."""

import contextlib
from collections.abc import Iterator

from torch import nn

from paddlex_maskrcnn.acceleration import accelerate, plain


@contextlib.contextmanager
def plain_path(*networks: nn.Module) -> Iterator[None]:
    """The networks are plain while the block runs, and accelerated afterwards."""
    for network in networks:
        plain(network)
    try:
        yield
    finally:
        for network in networks:
            accelerate(network)
