"""The cost of averaging gradients: against a ring simulated message by message."""

import numpy as np
import pytest
from all_reduce import (
    BUCKET_BYTES,
    ETHERNET,
    NVLINK,
    Links,
    efficiency,
    expected_maximum,
    ring_seconds,
    seen_seconds,
)

BYTES = 176e6


def simulated_ring(vectors):
    """Reduce-scatter, then all-gather, chunk by chunk; elements that each process sent, and rounds."""
    count = len(vectors)
    chunks = [np.array_split(vector.copy(), count) for vector in vectors]
    sent, rounds = np.zeros(count), 0
    for phase in ("reduce", "gather"):
        for turn in range(count - 1):
            rounds += 1
            shift = turn if phase == "reduce" else turn - 1
            moving = [chunks[rank][(rank - shift) % count].copy() for rank in range(count)]
            for rank, chunk in enumerate(moving):
                place = (rank - shift) % count
                target = chunks[(rank + 1) % count]
                target[place] = target[place] + chunk if phase == "reduce" else chunk
                sent[rank] += chunk.size
    return [np.concatenate(one) for one in chunks], sent, rounds


@pytest.mark.parametrize("processes", [2, 3, 8])
def test_bytes_and_rounds_of_a_ring(processes):
    vectors = list(np.random.default_rng(0).integers(0, 9, (processes, 24 * processes)))
    results, sent, rounds = simulated_ring(vectors)
    assert all((one == sum(vectors)).all() for one in results)
    moved = ring_seconds(len(vectors[0]), processes, Links("", 1.0, 0.0))
    assert moved == pytest.approx(sent.max())
    assert ring_seconds(0, processes, Links("", 1.0, 1.0)) == rounds


def test_one_process_talks_to_nobody():
    assert ring_seconds(BYTES, 1, ETHERNET) == 0
    assert efficiency(BYTES, 1, ETHERNET, 0.1, variation=0.5) == 1


def test_what_fits_into_the_backward_pass_is_hidden_but_for_the_last_bucket():
    last = ring_seconds(BYTES / 7, 8, NVLINK)
    assert BYTES / 7 < BUCKET_BYTES < BYTES / 6
    assert seen_seconds(BYTES, 8, NVLINK, step_seconds=1.0) == pytest.approx(last)
    whole = 7 * ring_seconds(BYTES / 7, 64, ETHERNET)
    assert seen_seconds(BYTES, 64, ETHERNET, step_seconds=0.003) == pytest.approx(whole - 0.002)


def test_efficiency_falls_with_processes_and_rises_with_work():
    counts = [efficiency(BYTES, n, ETHERNET, 0.1) for n in (1, 2, 8, 64)]
    assert counts == sorted(counts, reverse=True)
    assert efficiency(BYTES, 64, ETHERNET, 0.3) > efficiency(BYTES, 64, ETHERNET, 0.1)
    assert efficiency(BYTES, 64, ETHERNET, 0.3, variation=0.05) < 0.9


@pytest.mark.parametrize("count", [2, 8, 64])
def test_the_slowest_of_many(count):
    drawn = np.random.default_rng(0).standard_normal((20_000, count)).max(axis=1).mean()
    assert expected_maximum(count) == pytest.approx(drawn, rel=0.05)
