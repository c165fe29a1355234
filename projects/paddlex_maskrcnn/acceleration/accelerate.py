"""The table of faster components, and exchanging them."""

from __future__ import annotations

import os
from typing import TypeVar

from detectron2.layers import Conv2d
from detectron2.modeling.poolers import ROIPooler
from torch import nn

from ..modeling.meta_arch import PaddedRCNN
from ..modeling.roi_heads import PaddleXMaskHead, PaddleXRes5ROIHeads, PaddleXROIHeads
from ..modeling.rpn import CrowdRPN, FocalRPN
from .convolution import ChannelsLastRCNN, FoldedConv2d
from .masks import OwnClassMaskHead, ReferringRes5ROIHeads, ReferringROIHeads
from .roi_align import GatherPooler
from .rpn import SampledCrowdRPN, SampledFocalRPN

PLAIN_VARIABLE = "PADDLEX_MASKRCNN_PLAIN"

# component -> its faster form, all for a CPU in 32 bits. The gains are in docs/performance.md.
FASTER: dict[type[nn.Module], type[nn.Module]] = {
    PaddedRCNN: ChannelsLastRCNN,
    Conv2d: FoldedConv2d,
    CrowdRPN: SampledCrowdRPN,
    FocalRPN: SampledFocalRPN,
    ROIPooler: GatherPooler,
    PaddleXROIHeads: ReferringROIHeads,
    PaddleXRes5ROIHeads: ReferringRes5ROIHeads,
    PaddleXMaskHead: OwnClassMaskHead,
}
_PLAIN = {faster: component for component, faster in FASTER.items()}

Module = TypeVar("Module", bound=nn.Module)


def accelerate(network: Module) -> Module:
    """The network, changed in place: each component in its faster form where there is one.

    The environment variable PADDLEX_MASKRCNN_PLAIN=1 leaves networks as they are.
    """
    return network if asks_for_plain() else _exchange(network, FASTER)


def plain(network: Module) -> Module:
    """The network, changed in place: what `accelerate` has exchanged is Detectron2's way again."""
    return _exchange(network, _PLAIN)


def asks_for_plain() -> bool:
    """Whether the environment asks for Detectron2's way of computing."""
    return os.environ.get(PLAIN_VARIABLE, "").lower() not in ("", "0", "false", "no", "off")


def _exchange(network: Module, table: dict[type[nn.Module], type[nn.Module]]) -> Module:
    for component in network.modules():
        # exact types: a subclass computes something else
        if type(component) in table:
            component.__class__ = table[type(component)]
    return network
