"""What the backbones share: normalisations, gradient checkpointing, learning-rate multipliers.

Normalisations: FrozenBN, BN, SyncBN (GPU only) and naiveSyncBN (any device) are Detectron2's. So is GN
(https://arxiv.org/abs/1803.08494) with its 32 groups, except in networks whose widths 32 does not divide.
Gradient checkpointing: "Training Deep Nets with Sublinear Memory Cost", https://arxiv.org/abs/1604.06174,
by `torch.utils.checkpoint`, non-reentrant. Difference from wrapping blocks in it as they are: batch
normalisation does not count its batch twice, so running statistics stay those of a run without
checkpointing.
Learning-rate multipliers per stage are what distilled (SSLD) weights want: PaddleX 1.3,
ResNet50_vd_ssld (behaviour notes §1.3). Here they reach every parameter of a stage, also deformable
convolutions and the res5 head of a model without FPN, which PaddleX left at 1.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

NORMS = ("FrozenBN", "BN", "SyncBN", "naiveSyncBN", "GN")
STAGES = ("stem", "res2", "res3", "res4", "res5")
SSLD_MULTIPLIERS = {"stem": 1.0, "res2": 0.05, "res3": 0.05, "res4": 0.1, "res5": 0.15}


def check_norm(key: str, norm: str) -> None:
    """Refuse a normalisation we do not offer.

    Raises:
        ValueError: norm is none of NORMS; names the cfg key.
    """
    if norm not in NORMS:
        raise ValueError(f"{key}: {norm!r} is not allowed; choose one of {', '.join(NORMS)}")


def norm_for_any_width(norm: str) -> str | Callable[[int], nn.Module]:
    """The norm in the form Detectron2's `get_norm` takes, for layers of 18, 36, 72, … channels.

    GN gets gcd(32, channels) groups, which is Detectron2's 32 wherever that is possible.
    """
    return _group_norm if norm == "GN" else norm


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(math.gcd(32, channels), channels)


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
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None
    try:
        yield
    finally:
        for norm, momentum, num_batches_tracked in before:
            norm.momentum = momentum
            norm.num_batches_tracked = num_batches_tracked


def lr_multiplier(parameter_name: str, stage_multipliers: Mapping[str, float]) -> float:
    """Factor on the learning rate of a parameter; 1 for what is not named.

    For `detectron2.solver.get_default_optimizer_params`:
    `lr_factor_func=partial(lr_multiplier, stage_multipliers=SSLD_MULTIPLIERS)`. That function lets its
    own bias override win over the factor; leave `bias_lr_factor` at 1 or correct the groups after it.

    Args:
        parameter_name: full name in the model, such as backbone.bottom_up.res3.0.conv1.weight.
        stage_multipliers: factor by stage name.

    Raises:
        ValueError: a stage that does not exist.
    """
    unknown = sorted(set(stage_multipliers) - set(STAGES))
    if unknown:
        raise ValueError(f"no such backbone stage: {unknown[0]!r}; stages are {', '.join(STAGES)}")
    return stage_multipliers.get(_stage_of(parameter_name), 1.0)


def _stage_of(parameter_name: str) -> str:
    """The stage a parameter belongs to, or "" outside the ResNet."""
    part, *path = parameter_name.split(".")
    if part not in ("backbone", "roi_heads"):
        return ""
    if path[:1] == ["bottom_up"]:
        path = path[1:]
    return path[0] if path and path[0] in STAGES else ""
