"""Values of pixels deeper than 8 bits, and whether they fit the range that Normalize declares.

Training stops at values that cannot be pixels; those that can, but leave most of the declared range empty
or go beyond it, train worse without a word.
"""

from collections.abc import Iterator, Sequence

from ...config.operator_params import NormalizeParams
from ..images import range_fault
from .findings import ERROR, NOTE, WARNING, Finding, Location, image_location
from .plan import Plan
from .scan import Fingerprint, Scan

_LARGEST_OF_16_BITS = 65535
_LEAST_USED = 1 / 8  # share of the range: below, 12 bits in a file for 16, or another range
_RANGE = "min_val and max_val of Normalize"


def value_findings(scan: Scan, plan: Plan) -> list[Finding]:
    """Unusable values, and values that do not fit the range."""
    unusable = [
        image_location(scan, image, fault)
        for image, taken in enumerate(scan.fingerprints)
        if (fault := _fault(taken, plan.normalize))
    ]
    remedy = f"training stops at them: convert the pictures, or give {_RANGE}"
    title = "image whose values are no pixels"
    return [
        Finding("no-pixels", ERROR, title, remedy, scan.name, unusable, len(scan.files)),
        *_ranges(scan, plan.normalize),
    ]


def _fault(taken: Fingerprint, normalize: NormalizeParams) -> str:
    if taken.depth:
        is_scaled = taken.depth == "uint16" and _scales(normalize)
        return (
            "" if is_scaled else range_fault(taken.depth, *taken.limits, normalize.declares_range)
        )
    _, high = _declared(normalize)
    is_usable = bool(taken.fault) or not normalize.declares_range or high > 1
    return "" if is_usable else f"has 8 bits, values of 0 to 255, but max_val is {high:g}"


def _scales(normalize: NormalizeParams) -> bool:
    """Whether 16 bits become 8."""
    return len(normalize.mean) == 3 and not normalize.declares_range


def _declared(normalize: NormalizeParams) -> tuple[float, float]:
    low, high = normalize.limits()
    return min(low), max(high)


def _ranges(scan: Scan, normalize: NormalizeParams) -> Iterator[Finding]:
    """What deep pictures of each depth hold, beside what Normalize says."""
    usable = [
        (image, taken)
        for image, taken in enumerate(scan.fingerprints)
        if taken.depth and not _fault(taken, normalize)
    ]
    for depth in sorted({taken.depth for _, taken in usable}):
        yield _range(scan, normalize, depth, [entry for entry in usable if entry[1].depth == depth])


def _range(
    scan: Scan, normalize: NormalizeParams, depth: str, images: Sequence[tuple[int, Fingerprint]]
) -> Finding:
    scales = depth == "uint16" and _scales(normalize)
    least, most = (0.0, float(_LARGEST_OF_16_BITS)) if scales else _declared(normalize)
    low = min(taken.limits[0] for _, taken in images)
    high = max(taken.limits[1] for _, taken in images)
    fits = least <= low and high <= most and high - least > (most - least) * _LEAST_USED
    title = (
        f"image of {depth} pixels: values from {low:g} to {high:g} in all, read as "
        f"{least:g} (black) to {most:g} (white)"
    )
    remedy = (
        "nothing has to be done if prediction meets the same values"
        if fits
        else f"set {_RANGE} to about {low:g} and {high:g}, or to the range your camera has"
    )
    locations = [_location(scan, image, taken) for image, taken in images]
    level = NOTE if fits else WARNING
    return Finding("value-range", level, title, remedy, scan.name, locations, len(scan.files))


def _location(scan: Scan, image: int, taken: Fingerprint) -> Location:
    low, high = taken.limits
    return image_location(scan, image, f"{low:g} to {high:g}", weight=high)
