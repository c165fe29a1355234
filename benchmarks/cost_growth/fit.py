"""The exponent p of cost ~ value^p, and whether it is worse than linear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TOLERANCE = 0.1  # above 1; a few points of a busy machine tell no more


@dataclass(frozen=True)
class Growth:
    """How a cost grows.

    Attributes:
        exponent: of the line through all points on a log-log scale; a fixed part lowers it.
        last: between the last two points, where the fixed part weighs least.
    """

    exponent: float
    last: float

    @property
    def worse_than_linear(self) -> bool:
        """Doubling the work more than doubles the cost."""
        return max(self.exponent, self.last) > 1 + TOLERANCE


def fit(values: Sequence[float], costs: Sequence[float]) -> Growth:
    """Least squares on the logarithms of at least two points, values ascending, costs above 0."""
    x, y = np.log(np.asarray(values, float)), np.log(np.asarray(costs, float))
    slope = float(np.polyfit(x, y, 1)[0])
    return Growth(slope, float((y[-1] - y[-2]) / (x[-1] - x[-2])))
