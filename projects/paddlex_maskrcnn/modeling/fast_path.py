"""Where the network may compute the same numbers in another, faster way.

What: several components have two ways to compute: Detectron2's own, bit for bit, and a faster one
that is equal up to rounding. The fast one is used unless somebody looks at the operators themselves
(tracing, scripting, `torch.compile`, export), or asks for the plain one: in code with `plain_path`,
for a whole process with the environment variable PADDLEX_MASKRCNN_PLAIN=1.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

PLAIN = "PADDLEX_MASKRCNN_PLAIN"
_plain: list[None] = []


@contextlib.contextmanager
def plain_path() -> Iterator[None]:
    """Everything is computed in Detectron2's way while the block runs."""
    _plain.append(None)
    try:
        yield
    finally:
        _plain.pop()


def asked_for_plain() -> bool:
    """Whether the environment variable asks for Detectron2's way."""
    return os.environ.get(PLAIN, "").lower() not in ("", "0", "false", "no", "off")


def is_fast() -> bool:
    """Whether the faster ways may be taken here and now."""
    if _plain or asked_for_plain():
        return False
    if torch.jit.is_scripting() or torch.jit.is_tracing():
        return False
    return not torch.compiler.is_compiling()


def is_fast_on_cpu(x: torch.Tensor) -> bool:
    """Whether ways that only pay on a CPU, in 32 bits, may be taken for this tensor."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and is_fast()
