"""Parts of a network that do not train, beside the backbone's first stages."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

# part -> how the names of its modules begin; without FPN res5 works on regions, as a box head does
_PREFIXES = {
    "backbone": ("backbone.",),
    "neck": ("backbone.fpn_", "backbone.top_block", "backbone.reduction"),
    "rpn": ("proposal_generator.",),
    "box_head": ("roi_heads.box_", "roi_heads.res5"),
    "mask_head": ("roi_heads.mask_",),
}


def freeze_parts(module: nn.Module, parts: Sequence[str]) -> list[nn.Module]:
    """Stop the parameters of these parts; returns the modules that must stay in evaluation mode.

    Args:
        parts: of the row `freeze`.

    Raises:
        ValueError: when a part does not exist in this network, or nothing is left to train.
    """
    frozen = []
    for part in parts:
        found = [one for name, one in module.named_modules() if _belongs(name, part)]
        if not found:
            raise ValueError(f"freeze names {part!r}, which this network does not have")
        frozen += found
    for one in frozen:
        one.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ValueError(f"freeze is {list(parts)}: nothing would be left to train")
    return frozen


def _belongs(name: str, part: str) -> bool:
    if part == "backbone" and name.startswith(_PREFIXES["neck"]):
        return False
    return name.startswith(_PREFIXES[part])
