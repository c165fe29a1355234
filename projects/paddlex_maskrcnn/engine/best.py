"""The best evaluation so far, and whether it is time to stop waiting for a better one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Best:
    """The best value of one metric; patience counts evaluations since it.

    Attributes:
        lower_is_better: as of a loss.
        value: best so far; None before the first evaluation.
        epoch: when it was reached.
        waited: evaluations since then.
    """

    value: float | None = None
    epoch: int = 0
    waited: int = 0
    lower_is_better: bool = False

    def update(self, value: float, epoch: int) -> bool:
        """Take one evaluation in; whether it is the new best. NaN never is."""
        better = self.value is None or (value < self.value) is self.lower_is_better
        if value == value and better and value != self.value:
            self.value, self.epoch, self.waited = value, epoch, 0
            return True
        self.waited += 1
        return False

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value, self.epoch, self.waited = state["value"], state["epoch"], state["waited"]
