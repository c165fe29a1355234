"""Ways to choose the proposals the second stage is trained on (registry ROI_SAMPLER)."""

from .libra import libra_sampler
from .random import random_sampler

__all__ = ["libra_sampler", "random_sampler"]
