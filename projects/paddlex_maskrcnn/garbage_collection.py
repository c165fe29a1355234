"""Python's garbage collector, held while many small dicts are made.

Every few thousand new dicts it walks over all that there are, and finds nothing: making the rows of
80 000 detections takes five times as long with it, and a large COCO json is millions of dicts.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """No automatic collection while the block runs (also as a decorator)."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
