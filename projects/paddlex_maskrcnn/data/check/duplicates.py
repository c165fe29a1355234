"""Images that are the same, or nearly, without comparing each with each.

Two 64-bit hashes that differ in at most three bits agree in at least one of their four 16-bit bands
(pigeonhole principle), so only images that share a band are compared: exact, and in time of about
N log N as long as hashes differ. Images of one and the same hash count once in this search, and
images without contrast, whose hashes say nothing, are left out. What remains is settled by the 16 x 16
pictures.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from .fingerprints import SIDE, Fingerprint

MOST_BITS = 3  # of 64 that may differ
LEAST_CORRELATION = 0.985  # of the grey pictures, brightness and contrast left aside
_LEAST_CONTRAST = 4.0  # standard deviation in grey levels
_BANDS, _BAND_BITS = 4, 16
_BLOCK = 1024  # rows compared at once
_BIT_COUNTS = np.array([bin(value).count("1") for value in range(2**16)], np.uint8)


def identical(prints: Sequence[Fingerprint]) -> list[list[int]]:
    """Groups of positions whose files hold the same bytes."""
    groups: dict[str, list[int]] = defaultdict(list)
    for position, one in enumerate(prints):
        if one.digest:
            groups[one.digest].append(position)
    return [group for group in groups.values() if len(group) > 1]


def alike(prints: Sequence[Fingerprint]) -> list[list[int]]:
    """Groups of positions whose pictures look nearly the same, identical files included."""
    root = list(range(len(prints)))
    for group in identical(prints):
        for position in group[1:]:
            _join(root, group[0], position)
    places, looks, small = _comparable(prints)
    for first, second in _near(looks):
        is_alike = (small[first] * small[second]).sum(axis=1) >= LEAST_CORRELATION
        for a, b in zip(places[first[is_alike]], places[second[is_alike]], strict=True):
            _join(root, int(a), int(b))
    groups: dict[int, list[int]] = defaultdict(list)
    for position in range(len(prints)):
        groups[_root(root, position)].append(position)
    return [group for group in groups.values() if len(group) > 1]


def hamming(looks: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Bits that differ between uint64 arrays of one shape."""
    differing = np.ascontiguousarray(looks ^ others)
    words = differing.view(np.uint16).reshape(*differing.shape, 4)
    return _BIT_COUNTS[words].sum(axis=-1)


def _comparable(prints: Sequence[Fingerprint]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, hashes, and unit vectors of the grey pictures, of images that have contrast."""
    places = [
        position
        for position, one in enumerate(prints)
        if one.small is not None and one.small.std() >= _LEAST_CONTRAST
    ]
    looks = np.array([prints[place].look for place in places], np.uint64)
    small = np.array([prints[place].small for place in places], np.float32)
    small = small.reshape(len(places), SIDE * SIDE)
    small -= small.mean(axis=1, keepdims=True) if len(places) else 0
    small /= np.linalg.norm(small, axis=1, keepdims=True) if len(places) else 1
    return np.array(places, np.int64), looks, small


def _near(looks: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of positions whose hashes differ in at most MOST_BITS bits, in blocks."""
    order = np.argsort(looks, kind="stable")
    different, start, counts = np.unique(looks[order], return_index=True, return_counts=True)
    first = order[start]  # of the images of each hash
    if len(looks):
        is_first = np.zeros(len(looks), bool)
        is_first[start] = True
        yield np.repeat(first, counts)[~is_first], order[~is_first]
        yield order[:-1][~is_first[1:]], order[1:][~is_first[1:]]
    for band in range(_BANDS):
        keys = (different >> np.uint64(_BAND_BITS * band)) & np.uint64(2**_BAND_BITS - 1)
        for members in _buckets(keys):
            for a, b in _pairs_within(different[members]):
                yield first[members[a]], first[members[b]]


def _buckets(keys: np.ndarray) -> Iterator[np.ndarray]:
    """Positions of each key that occurs more than once."""
    order = np.argsort(keys, kind="stable")
    edges = np.flatnonzero(np.diff(keys[order])) + 1
    return (members for members in np.split(order, edges) if len(members) > 1)


def _pairs_within(looks: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, len(looks), _BLOCK):
        block = looks[start : start + _BLOCK]
        close = hamming(block[:, None], looks[None, start:]) <= MOST_BITS
        a, b = np.nonzero(np.triu(close, 1))
        if len(a):
            yield a + start, b + start


def _root(root: list[int], position: int) -> int:
    while root[position] != position:
        root[position] = root[root[position]]
        position = root[position]
    return position


def _join(root: list[int], a: int, b: int) -> None:
    a, b = _root(root, a), _root(root, b)
    root[max(a, b)] = min(a, b)
