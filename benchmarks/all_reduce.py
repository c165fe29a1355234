"""What averaging gradients over n processes costs, on paper.

A ring moves 2 (n - 1) / n times the gradients through the slowest link of every process (Patarasuk
and Yuan 2009), in 2 (n - 1) rounds of one latency each; DistributedDataParallel does it bucket by
bucket (25 MiB) while the backward pass goes on (Li et al. 2020, section 3.2.3). So only what outlasts
the backward pass is seen, and at least the last bucket, whose gradients come last.
Not in the formula: other traffic on the links, and the time that the loader may not keep up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

BUCKET_BYTES = 25 * 2**20  # DistributedDataParallel's bucket_cap_mb
BACKWARD_SHARE = 2 / 3  # of a step: two products for every one of the forward pass


@dataclass(frozen=True)
class Links:
    """What connects the processes.

    Attributes:
        bytes_per_second: of the slowest link in the ring, in one direction.
        latency: seconds of one message.
    """

    name: str
    bytes_per_second: float
    latency: float


# 900 GB/s of an H100 are both directions together; three quarters of a rate is what NCCL reaches
NVLINK = Links("NVLink (H100: 450 GB/s a direction)", 0.75 * 450e9, 5e-6)
ETHERNET = Links("100 Gbit/s a node", 0.75 * 12.5e9, 15e-6)


def ring_seconds(num_bytes: float, processes: int, links: Links) -> float:
    """One all-reduce of so many bytes."""
    if processes == 1:
        return 0.0
    moved = 2 * (processes - 1) / processes * num_bytes
    return moved / links.bytes_per_second + 2 * (processes - 1) * links.latency


def seen_seconds(num_bytes: float, processes: int, links: Links, step_seconds: float) -> float:
    """How much longer a step of `step_seconds` on one process becomes."""
    buckets = math.ceil(num_bytes / BUCKET_BYTES)
    whole = buckets * ring_seconds(num_bytes / buckets, processes, links)
    last = ring_seconds(num_bytes / buckets, processes, links)
    return max(whole - BACKWARD_SHARE * step_seconds, last)


def efficiency(
    num_bytes: float, processes: int, links: Links, step_seconds: float, variation: float = 0.0
) -> float:
    """Images per second of n processes over n times those of one.

    Args:
        step_seconds: of one process, with its own images.
        variation: standard deviation of a step over the processes, as a share of it; all wait for
            the slowest.
    """
    if processes == 1:
        return 1.0
    slowest = step_seconds * (1 + variation * expected_maximum(processes))
    return step_seconds / (slowest + seen_seconds(num_bytes, processes, links, step_seconds))


def expected_maximum(count: int) -> float:
    """Of so many standard normal values (Blom 1958, an approximation good to a few percent)."""
    return NormalDist().inv_cdf((count - 0.375) / (count + 0.25))
