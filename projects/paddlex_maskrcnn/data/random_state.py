"""Random numbers that belong to one sample.

Detectron2's augmentations draw from NumPy's global generator. It is seeded around each sample from
(seed, epoch, index) and put back afterwards, so that a sample never depends on which process makes
it, on what was made before, or on where training was resumed.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Seed NumPy's and Python's global generators from `key`, and restore them at the end."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    first, second = np.random.SeedSequence(key).generate_state(2)
    np.random.seed(first)
    random.seed(int(second))
    try:
        yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def sample_seed(*key: int) -> int:
    """What the network's random choices for this sample are seeded from; below 2^63."""
    return int(np.random.SeedSequence([*key, 1]).generate_state(1, np.uint64)[0] >> np.uint64(1))
