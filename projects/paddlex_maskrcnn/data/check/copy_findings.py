"""Findings about images that occur more than once, in one part or in both."""

from collections.abc import Sequence

from .duplicates import alike, identical
from .findings import ERROR, NOTE, WARNING, Finding, Place, image_name
from .scan import Scan

Where = tuple[int, int]  # which scan, which image


def copy_findings(scans: Sequence[Scan]) -> list[Finding]:
    """Copies inside each part, and images of one part that are in another."""
    where = [(k, image) for k, one in enumerate(scans) for image in range(len(one.files))]
    prints = [one for scan in scans for one in scan.prints]
    same = [[where[i] for i in group] for group in identical(prints)]
    near = [[where[i] for i in group] for group in alike(prints)]
    digests = {pair: one.digest for pair, one in zip(where, prints, strict=True)}
    found = [_leak(scans, same, "")] if len(scans) > 1 else []
    if len(scans) > 1:
        found.append(_leak(scans, near, "nearly ", digests))
    found += [_copies(scans, k, same) for k in range(len(scans))]
    found += [_conflicts(scans, k, same) for k in range(len(scans))]
    return found + [_near_copies(scans, k, near, digests) for k in range(len(scans))]


def _leak(
    scans: Sequence[Scan], groups: list[list[Where]], nearly: str, digests: dict | None = None
) -> Finding:
    """Images of later parts that the first one has too."""
    places, total = [], sum(len(one.files) for one in scans[1:])
    for group in groups:
        trained = [one for one in group if one[0] == 0]
        for one in group:
            if one[0] == 0 or not trained:
                continue
            if digests and any(digests[one] == digests[other] for other in trained):
                continue  # told as identical
            places.append(_pair(scans, one, trained[:1], "looks like" if nearly else "is also"))
    first, second = scans[0].name, scans[-1].name
    title = f"image of {second} that is {nearly or 'exactly '}one of {first}"
    remedy = (
        f"keep copies (and frames of one video, tiles of one scene) in one part (split does it): "
        f"measured on them, the model looks better than it is; take them out of {first} or {second}"
    )
    kind, level = ("near-leak", WARNING) if nearly else ("leak", ERROR)
    return Finding(kind, level, title, remedy, "", places, total)


def _copies(scans: Sequence[Scan], part: int, groups: list[list[Where]]) -> Finding:
    places = [
        _pair(scans, inside[0], inside[1:], "has the same content as")
        for inside in _inside(scans, groups, part)
    ]
    remedy = "keep one of each: copies count the same picture several times"
    title = "image with identical copies"
    return Finding("copies", WARNING, title, remedy, scans[part].name, places)


def _conflicts(scans: Sequence[Scan], part: int, groups: list[list[Where]]) -> Finding:
    counts, places = scans[part].per_image, []
    for inside in _inside(scans, groups, part):
        numbers = [int(counts[image]) for _, image in inside]
        if len(set(numbers)) > 1:
            told = " and ".join(map(str, numbers))
            places.append(_pair(scans, inside[0], inside[1:], f"({told} objects) is the same as"))
    remedy = "find out which is right and delete the other: one contradicts the other in training"
    title = "image whose identical copies are annotated differently"
    return Finding("conflicts", WARNING, title, remedy, scans[part].name, places)


def _near_copies(
    scans: Sequence[Scan], part: int, groups: list[list[Where]], digests: dict
) -> Finding:
    places = []
    for inside in _inside(scans, groups, part):
        if len({digests[one] for one in inside}) > 1:
            places.append(_pair(scans, inside[0], inside[1:], "looks like"))
    title = "group of images that look nearly the same"
    remedy = "fine for training; when you split the data, keep each group in one part"
    return Finding("near-copies", NOTE, title, remedy, scans[part].name, places)


def _inside(scans: Sequence[Scan], groups: list[list[Where]], part: int) -> list[list[Where]]:
    """The members of each group in one part, different files only, where there are several."""
    kept = []
    for group in groups:
        files = {scans[k].files[image]: (k, image) for k, image in group if k == part}
        if len(files) > 1:
            kept.append(list(files.values()))
    return kept


def _pair(scans: Sequence[Scan], one: Where, others: list[Where], words: str) -> Place:
    scan, image = scans[one[0]], one[1]
    told = ", ".join(f"{scans[k].name} {image_name(scans[k], i)}" for k, i in others)
    text = f"{scan.name} {image_name(scan, image)} {words} {told}"
    named = tuple((scans[k].name, i) for k, i in others)
    return Place(text, scan.name, image, others=named, weight=len(others))
