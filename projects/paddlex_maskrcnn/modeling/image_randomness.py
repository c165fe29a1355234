"""Random choices that belong to an image, not to a process.

What: an input dict may bring `sample_seed` (an int). The anchors and proposals of that image are
then drawn from a generator of its own, first by the RPN, then by the second stage.
Why: the training of a given seed is the same with one process or several, in one pass or in
accumulated parts, and after a resume.
Origin: ours; Detectron2 draws from the global generator, which is what happens without a seed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

Generators = Sequence[torch.Generator | None]


def image_generators(
    batched_inputs: Sequence[dict[str, Any]], device: torch.device
) -> list[torch.Generator | None]:
    """A generator on the device for each image that brings a seed."""
    return [
        torch.Generator(device).manual_seed(one["sample_seed"]) if "sample_seed" in one else None
        for one in batched_inputs
    ]


@contextlib.contextmanager
def drawing_from(generators: Generators, *modules: nn.Module | None) -> Iterator[None]:
    """These modules have `generators`, one an image, while the block runs."""
    for module in modules:
        module.generators = generators  # type: ignore[union-attr]
    try:
        yield
    finally:
        for module in modules:
            module.generators = None  # type: ignore[union-attr]


def generator_of(module: nn.Module, image: int) -> torch.Generator | None:
    """What a module draws from for an image of the batch; None: torch's global generator."""
    generators = getattr(module, "generators", None)
    return generators[image] if generators else None
