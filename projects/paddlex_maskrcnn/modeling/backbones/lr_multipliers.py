"""Learning-rate multipliers per backbone stage, as distilled (SSLD) weights want them.

Origin: PaddleX 1.3, ResNet50_vd_ssld (behaviour notes §1.3).
Differences: they reach every parameter of a stage, also deformable convolutions and the res5 head
of a model without FPN, which PaddleX left at 1.

For `detectron2.solver.get_default_optimizer_params`:
`lr_factor_func=partial(lr_multiplier, stage_multipliers=SSLD_MULTIPLIERS)`. That function lets its
own bias override win over the factor; leave `bias_lr_factor` at 1 or correct the groups after it.
"""

from __future__ import annotations

from collections.abc import Mapping

STAGES = ("stem", "res2", "res3", "res4", "res5")
SSLD_MULTIPLIERS = {"stem": 1.0, "res2": 0.05, "res3": 0.05, "res4": 0.1, "res5": 0.15}


def lr_multiplier(parameter_name: str, stage_multipliers: Mapping[str, float]) -> float:
    """Factor on the learning rate of one parameter; 1 for what is not named.

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
    room, *path = parameter_name.split(".")
    if room not in ("backbone", "roi_heads"):
        return ""
    if path[:1] == ["bottom_up"]:
        path = path[1:]
    return path[0] if path and path[0] in STAGES else ""
