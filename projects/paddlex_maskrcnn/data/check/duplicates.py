"""Images that occur more than once, or nearly, in one part or in both.

Near copies are searched without comparing each image with each. Two 64-bit hashes that differ in at
most three bits agree in at least one of their four 16-bit bands (pigeonhole principle), so only
images that share a band are compared: exact, and in time of about N log N as long as hashes differ.
Images of one and the same hash count once in this search, and images without contrast, whose hashes
say nothing, are left out. What remains is settled by the 16 x 16 pictures.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from .findings import ERROR, NOTE, WARNING, Finding, Location, image_name
from .scan import SIDE, Fingerprint, Scan

MOST_BITS = 3  # of 64 that may differ
LEAST_CORRELATION = 0.985  # of the grey pictures, brightness and contrast left aside
_LEAST_CONTRAST = 4.0  # standard deviation in grey levels
_BANDS, _BAND_BITS = 4, 16
_BLOCK = 1024  # rows compared at once
_BIT_COUNTS = np.array([bin(value).count("1") for value in range(2**16)], np.uint8)

Member = tuple[int, int]  # of a group of copies: which scan, which image


def copy_findings(scans: Sequence[Scan]) -> list[Finding]:
    """Copies inside each part, and images of one part that are in another."""
    members = [(k, image) for k, scan in enumerate(scans) for image in range(len(scan.files))]
    prints = [taken for scan in scans for taken in scan.fingerprints]
    same = [[members[i] for i in group] for group in identical(prints)]
    near = [[members[i] for i in group] for group in alike(prints)]
    digests = {member: taken.digest for member, taken in zip(members, prints, strict=True)}
    findings = [_leak(scans, same, "")] if len(scans) > 1 else []
    if len(scans) > 1:
        findings.append(_leak(scans, near, "nearly ", digests))
    findings += [_copies(scans, k, same) for k in range(len(scans))]
    findings += [_conflicts(scans, k, same) for k in range(len(scans))]
    return findings + [_near_copies(scans, k, near, digests) for k in range(len(scans))]


def _leak(
    scans: Sequence[Scan], groups: list[list[Member]], nearly: str, digests: dict | None = None
) -> Finding:
    """Images of later parts that the first one has too."""
    locations, total = [], sum(len(scan.files) for scan in scans[1:])
    for group in groups:
        trained = [member for member in group if member[0] == 0]
        for member in group:
            if member[0] == 0 or not trained:
                continue
            if digests and any(digests[member] == digests[other] for other in trained):
                continue  # reported as identical
            words = "looks like" if nearly else "is also"
            locations.append(_pair(scans, member, trained[:1], words))
    first, second = scans[0].name, scans[-1].name
    title = f"image of {second} that is {nearly or 'exactly '}one of {first}"
    remedy = (
        f"keep copies (and frames of one video, tiles of one scene) in one part (split does it): "
        f"measured on them, the model looks better than it is; take them out of {first} or {second}"
    )
    kind, level = ("near-leak", WARNING) if nearly else ("leak", ERROR)
    return Finding(kind, level, title, remedy, "", locations, total)


def _copies(scans: Sequence[Scan], part: int, groups: list[list[Member]]) -> Finding:
    locations = [
        _pair(scans, inside[0], inside[1:], "has the same content as")
        for inside in _inside(scans, groups, part)
    ]
    remedy = "keep one of each: copies count the same picture several times"
    title = "image with identical copies"
    return Finding("copies", WARNING, title, remedy, scans[part].name, locations)


def _conflicts(scans: Sequence[Scan], part: int, groups: list[list[Member]]) -> Finding:
    counts, locations = scans[part].per_image, []
    for inside in _inside(scans, groups, part):
        numbers = [int(counts[image]) for _, image in inside]
        if len(set(numbers)) > 1:
            words = f"({' and '.join(map(str, numbers))} objects) is the same as"
            locations.append(_pair(scans, inside[0], inside[1:], words))
    remedy = "find out which is right and delete the other: one contradicts the other in training"
    title = "image whose identical copies are annotated differently"
    return Finding("conflicts", WARNING, title, remedy, scans[part].name, locations)


def _near_copies(
    scans: Sequence[Scan], part: int, groups: list[list[Member]], digests: dict
) -> Finding:
    locations = []
    for inside in _inside(scans, groups, part):
        if len({digests[member] for member in inside}) > 1:
            locations.append(_pair(scans, inside[0], inside[1:], "looks like"))
    title = "group of images that look nearly the same"
    remedy = "fine for training; when you split the data, keep each group in one part"
    return Finding("near-copies", NOTE, title, remedy, scans[part].name, locations)


def _inside(scans: Sequence[Scan], groups: list[list[Member]], part: int) -> list[list[Member]]:
    """The members of each group in one part, different files only, where there are several."""
    chosen = []
    for group in groups:
        files = {scans[k].files[image]: (k, image) for k, image in group if k == part}
        if len(files) > 1:
            chosen.append(list(files.values()))
    return chosen


def _pair(scans: Sequence[Scan], member: Member, others: list[Member], words: str) -> Location:
    scan, image = scans[member[0]], member[1]
    names = ", ".join(f"{scans[k].name} {image_name(scans[k], i)}" for k, i in others)
    text = f"{scan.name} {image_name(scan, image)} {words} {names}"
    shown = tuple((scans[k].name, i) for k, i in others)
    return Location(text, scan.name, image, others=shown, weight=len(others))


def identical(prints: Sequence[Fingerprint]) -> list[list[int]]:
    """Groups of positions whose files hold the same bytes."""
    groups: dict[str, list[int]] = defaultdict(list)
    for position, taken in enumerate(prints):
        if taken.digest:
            groups[taken.digest].append(position)
    return [group for group in groups.values() if len(group) > 1]


def alike(prints: Sequence[Fingerprint]) -> list[list[int]]:
    """Groups of positions whose pictures look nearly the same, identical files included."""
    root = list(range(len(prints)))  # a union-find forest
    for group in identical(prints):
        for position in group[1:]:
            _join(root, group[0], position)
    positions, looks, vectors = _comparable(prints)
    for first, second in _near(looks):
        is_alike = (vectors[first] * vectors[second]).sum(axis=1) >= LEAST_CORRELATION
        for a, b in zip(positions[first[is_alike]], positions[second[is_alike]], strict=True):
            _join(root, int(a), int(b))
    groups: dict[int, list[int]] = defaultdict(list)
    for position in range(len(prints)):
        groups[_root(root, position)].append(position)
    return [group for group in groups.values() if len(group) > 1]


def _comparable(prints: Sequence[Fingerprint]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, hashes, and unit vectors of the grey pictures, of images that have contrast."""
    positions = [
        position
        for position, taken in enumerate(prints)
        if taken.thumbnail is not None and taken.thumbnail.std() >= _LEAST_CONTRAST
    ]
    looks = np.array([prints[position].look for position in positions], np.uint64)
    vectors = np.array([prints[position].thumbnail for position in positions], np.float32)
    vectors = vectors.reshape(len(positions), SIDE * SIDE)
    vectors -= vectors.mean(axis=1, keepdims=True) if len(positions) else 0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) if len(positions) else 1
    return np.array(positions, np.int64), looks, vectors


def _near(looks: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of positions whose hashes differ in at most MOST_BITS bits, in blocks."""
    order = np.argsort(looks, kind="stable")
    different, start, counts = np.unique(looks[order], return_index=True, return_counts=True)
    first = order[start]  # of the images of each hash
    if len(looks):
        is_first = np.zeros(len(looks), bool)
        is_first[start] = True
        # Images of one hash: each with the first, and each with the one before, so that groups
        # stay together where their grey pictures drift apart.
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


def hamming(looks: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Bits that differ between uint64 arrays of one shape."""
    differing = np.ascontiguousarray(looks ^ others)
    words = differing.view(np.uint16).reshape(*differing.shape, 4)
    return _BIT_COUNTS[words].sum(axis=-1)


def _root(root: list[int], position: int) -> int:
    while root[position] != position:
        root[position] = root[root[position]]  # halves the path for the next call
        position = root[position]
    return position


def _join(root: list[int], a: int, b: int) -> None:
    a, b = _root(root, a), _root(root, b)
    root[max(a, b)] = min(a, b)
