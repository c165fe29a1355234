"""Run-length masks as COCO writes them, checked before pycocotools sees them.

pycocotools trusts the counts: a string of the wrong length decodes to whatever was in memory. The
string form is COCO's (cocoapi, common/maskApi.c): groups of five bits from character 48 on, the
sixth bit says that more follow, and from the fourth count on each is a difference to the one two
before it.
"""

from typing import Any

import numpy as np
import pycocotools.mask as mask_util

_LONGEST_GROUP = 8  # 40 bits: more than any image has pixels


def checked_rle(segmentation: dict[str, Any], height: int, width: int) -> dict[str, Any] | str:
    """The mask in compressed form, or the reason why it cannot be used.

    Returns:
        {'size': [height, width], 'counts': str}, or a text.
    """
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        return f"size is {size}, the image is {[height, width]} (height, width)"
    runs = _runs_of_list(counts) if isinstance(counts, list) else _runs_of_string(counts)
    if runs is None or (runs < 0).any():
        return "counts are not run lengths"
    covered = sum(runs.tolist())  # Python's integers: a sum of huge counts must not wrap around
    if covered != height * width:
        return f"counts cover {covered} pixels, the image has {height * width}"
    if isinstance(counts, list):
        counts = mask_util.frPyObjects({"size": size, "counts": counts}, height, width)["counts"]
    return as_text({"size": [height, width], "counts": counts})


def runs_of(rle: dict[str, Any]) -> np.ndarray:
    """Run lengths of a checked mask, off first."""
    counts = rle["counts"]
    runs = _runs_of_list(counts) if isinstance(counts, list) else _runs_of_string(counts)
    assert runs is not None, rle
    return runs


def rle_of_pixels(place: np.ndarray, height: int, width: int) -> dict[str, Any]:
    """The mask of some pixels, in time of their number.

    Args:
        place: (N,) integers, column * height + row of each pixel; may repeat.

    Returns:
        {'size': [height, width], 'counts': str}.
    """
    place = np.unique(place)
    first = place[np.diff(place, prepend=-2) != 1]
    last = place[np.diff(place, append=-2) != 1] + 1
    edges = np.stack([first, last], axis=1).reshape(-1)
    runs = np.diff(np.r_[0, edges, height * width]).tolist()
    runs = runs if runs[-1] else runs[:-1]
    return as_text(mask_util.frPyObjects({"size": [height, width], "counts": runs}, height, width))


def as_text(rle: dict[str, Any]) -> dict[str, Any]:
    """A compressed RLE as json can hold it: counts as a str."""
    counts = rle["counts"]
    text = counts.decode("ascii") if isinstance(counts, bytes) else counts
    return {"size": list(rle["size"]), "counts": text}


def _runs_of_list(counts: list[Any]) -> np.ndarray | None:
    try:
        runs = np.array(counts)
    except ValueError:  # lists of different lengths inside
        return None
    return runs if runs.ndim == 1 and runs.dtype.kind in "iu" else None


def _runs_of_string(counts: Any) -> np.ndarray | None:
    """Run lengths of a compressed mask; None if the string is not one."""
    if isinstance(counts, str) and counts.isascii():
        counts = counts.encode()
    if not isinstance(counts, bytes) or not counts:
        return None
    groups = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(groups & 32 == 0)
    if groups.min() < 0 or groups.max() > 63 or not len(ends) or ends[-1] != len(groups) - 1:
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(len(groups)) - np.repeat(starts, ends - starts + 1)
    if place.max() >= _LONGEST_GROUP:
        return None
    runs = np.add.reduceat((groups & 31) << (5 * place), starts)
    runs -= np.where(groups[ends] & 16, 1 << (5 * (place[ends] + 1)), 0)  # two's complement
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs
