"""Ways to choose the proposals the second stage is trained on (registry ROI_SAMPLER)."""

from .libra import libra_sampler
from .random import random_sampler
from .slots import libra_slots, random_slots

__all__ = ["SLOTS", "libra_sampler", "random_sampler"]

# what draws the sample of a sampler without waiting for the device; a sampler may be without
SLOTS = {libra_sampler: libra_slots, random_sampler: random_slots}
