"""How much a service takes on."""

from __future__ import annotations

import math
from dataclasses import dataclass

MOST_PIXELS = 178_956_970  # above this Pillow refuses to open an image (2 x Image.MAX_IMAGE_PIXELS)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a service; memory for requests stays below max_queue x (upload + decoded image).

    Attributes:
        max_image_mb: largest upload, in units of 1024 x 1024 bytes.
        max_pixels: most pixels of an image, as its header says, and of what the model's transforms
            make of it.
        max_tiles: most tiles that a request may have its image cut into, and that run together.
        timeout: seconds that a request may take, from its first byte to its answer; a client that
            sends its headers or reads its answer more slowly is cut off.
        max_queue: requests that are taken on at a time; those that upload or compute count.
        batch_size: largest number of images that run together.

    Raises:
        ValueError: naming the limit, its value and what is allowed.
    """

    max_image_mb: float = 20.0
    max_pixels: int = 50_000_000
    max_tiles: int = 100
    timeout: float = 30.0
    max_queue: int = 32
    batch_size: int = 8

    def __post_init__(self) -> None:
        for name in ("max_tiles", "max_queue", "batch_size"):
            if getattr(self, name) < 1:
                _refuse(name, getattr(self, name), "1 or more")
        for name in ("max_image_mb", "timeout"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                _refuse(name, getattr(self, name), "a number above 0")
        if not 1 <= self.max_pixels <= MOST_PIXELS:
            _refuse(
                "max_pixels", self.max_pixels, f"1 to {MOST_PIXELS}, the most that Pillow opens"
            )

    @property
    def max_bytes(self) -> int:
        """Largest upload."""
        return math.floor(self.max_image_mb * 2**20)

    @property
    def longest_run(self) -> float:
        """Seconds of the network's run after which the service counts as stuck."""
        return max(10 * self.timeout, 300.0)

    @property
    def max_work(self) -> int:
        """Most pixels of all tiles of a request together, as the network gets them."""
        return 4 * self.max_pixels  # 100 tiles of 1333 x 1333 with the defaults


def _refuse(name: str, value: float, allowed: str) -> None:
    raise ValueError(f"{name} is {value}; allowed: {allowed}")
