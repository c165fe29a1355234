"""When a run has to end to be over in time (`train.max_minutes`), its last evaluation included."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from ..processes import from_main

# of the limit, that an evaluation which was never timed is expected to take
_MOST_FOR_EVALUATION = 0.5


class TimeLimit:
    """The time a run may take from now on, and what its steps and evaluations have taken so far."""

    def __init__(
        self,
        minutes: float | None,
        *,
        first_step: int = 0,
        batch_size: int = 1,
        held_out: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Start the clock.

        Args:
            minutes: the run may take; None: any time.
            first_step: steps that were done before.
            batch_size: images of a step.
            held_out: images of an evaluation.
            clock: seconds from any beginning.
        """
        self.minutes, self._first_step, self._clock = minutes, first_step, clock
        self._batch_size, self._held_out = batch_size, held_out
        self._started = clock()
        self._all_evaluations, self._last_evaluation = 0.0, 0.0

    @property
    def elapsed_minutes(self) -> float:
        return (self._clock() - self._started) / 60

    @contextlib.contextmanager
    def evaluation(self) -> Iterator[None]:
        """Count the block as an evaluation, with the saving of what was evaluated."""
        started = self._clock()
        try:
            yield
        finally:
            self._last_evaluation = self._clock() - started
            self._all_evaluations += self._last_evaluation

    def is_reached(self, step: int) -> bool:
        """Whether one more step and an evaluation would end too late; the same in all processes.

        Args:
            step: the last one done.
        """
        if self.minutes is None:
            return False
        limit, elapsed = 60 * self.minutes, self._clock() - self._started
        steps = max(1, step - self._first_step)
        per_step = (elapsed - self._all_evaluations) / steps
        # until one was timed: an image is evaluated in less time than it is trained on
        expected = min(per_step / self._batch_size * self._held_out, _MOST_FOR_EVALUATION * limit)
        # the main process's clock decides: the others may read another time
        return from_main(elapsed + per_step + (self._last_evaluation or expected) > limit)
