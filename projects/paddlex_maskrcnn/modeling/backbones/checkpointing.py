"""Gradient checkpointing of backbone blocks: activations are recomputed in the backward pass.

Paper: "Training Deep Nets with Sublinear Memory Cost", https://arxiv.org/abs/1604.06174.
Origin: `torch.utils.checkpoint`, non-reentrant.
Difference from wrapping blocks in it as they are: batch normalisation does not count its batch
twice, so running statistics stay those of a run without checkpointing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def run_checkpointed(blocks: Iterable[nn.Module], x: Tensor) -> Tensor:
    """Run blocks one after the other, each of them checkpointed."""
    for block in blocks:
        x = checkpointed(block, x)
    return x


def checkpointed(block: nn.Module, *inputs: Any) -> Any:
    """Call block(*inputs), keeping only its inputs and outputs for the backward pass.

    A plain call where nothing would be saved: in evaluation, without gradients, in frozen blocks.
    """
    needed = block.training and torch.is_grad_enabled()
    if not needed or not any(parameter.requires_grad for parameter in block.parameters()):
        return block(*inputs)
    return checkpoint(
        block,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=False,  # no dropout in our backbones
        context_fn=partial(_contexts, block),
    )


def _contexts(
    block: nn.Module,
) -> tuple[contextlib.AbstractContextManager, contextlib.AbstractContextManager]:
    """What surrounds the forward pass and the recomputation."""
    return contextlib.nullcontext(), _statistics_held(block)


@contextlib.contextmanager
def _statistics_held(block: nn.Module) -> Iterator[None]:
    """Normalise by the batch, but leave running statistics alone: they have seen this batch.

    Not by `track_running_stats`: batch norm would then save fewer tensors than the first time,
    which checkpointing takes for another computation.
    """
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    kept = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None
    try:
        yield
    finally:
        for norm, momentum, num_batches_tracked in kept:
            norm.momentum = momentum
            norm.num_batches_tracked = num_batches_tracked
