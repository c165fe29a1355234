"""Parts of a data set brought nearer to their shares of each class, by exchanging groups.

A local search: two groups of as many images in different parts change places where that lowers
sum over parts and classes of (count - share x total)^2 / total, with a fine for classes that a part
has none of, a heavier one for the first part, which is learned from.
"""

from collections.abc import Mapping, Sequence

import numpy as np

_TRIES_A_GROUP = 50
_MOST_TRIES = 20_000
_FINE, _FINE_OF_FIRST = 0.5, 10.0


def swap(
    sizes: Sequence[int],
    objects: Sequence[Mapping[int, int]],
    parts: Sequence[Sequence[int]],
    shares: Sequence[float],
    seed: int,
) -> list[list[int]]:
    """Better parts of the same numbers of images.

    Args:
        sizes: images of each group.
        objects: class -> objects, of each group.
        parts: positions of the groups in each part.
        shares: of each part, adding up to 1.
        seed: of the search.
    """
    counts = _matrix(objects)
    part_of = np.zeros(len(sizes), np.int64)
    for part, positions in enumerate(parts):
        part_of[list(positions)] = part
    total = counts.sum(axis=0)
    wanted, weight = np.outer(shares, total), 1 / np.maximum(total, 1)
    have = np.stack([counts[part_of == part].sum(axis=0) for part in range(len(parts))])

    def cost(part: int, held: np.ndarray) -> float:
        missing = np.count_nonzero(held <= 0) * (_FINE if part else _FINE_OF_FIRST)
        return float(((held - wanted[part]) ** 2 * weight).sum()) + missing

    costs = [cost(part, held) for part, held in enumerate(have)]
    tries = min(_MOST_TRIES, _TRIES_A_GROUP * len(sizes))
    for a, b in np.random.default_rng(seed).integers(0, len(sizes), (tries, 2)):
        p, q = int(part_of[a]), int(part_of[b])
        if p == q or sizes[a] != sizes[b]:
            continue
        change = counts[b] - counts[a]
        here, there = cost(p, have[p] + change), cost(q, have[q] - change)
        if here + there < costs[p] + costs[q] - 1e-9:
            have[p] += change
            have[q] -= change
            costs[p], costs[q] = here, there
            part_of[a], part_of[b] = q, p
    return [np.flatnonzero(part_of == part).tolist() for part in range(len(parts))]


def _matrix(objects: Sequence[Mapping[int, int]]) -> np.ndarray:
    """(groups, classes) objects."""
    places = {one: k for k, one in enumerate(sorted({one for group in objects for one in group}))}
    counts = np.zeros((len(objects), len(places)))
    for row, group in zip(counts, objects, strict=True):
        for one, number in group.items():
            row[places[one]] = number
    return counts
