"""What `predict` returns for one object: a dict whose mask takes next to no memory until it is read.

Origin: the dicts of PaddleX 1.3's `predict`. Difference: the (H, W) mask of each object is made when
it is first read, so that a hundred objects of a 12-megapixel image do not take 1.2 GB unread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ..engine.detection import BoxMask, Detection

DENSE, RLE, BOX = "dense", "rle", "box"
MASK_FORMATS = (DENSE, RLE, BOX)

_MASK = "mask"


class _Unread:
    """A mask before it is read: the compact form and the image's size."""

    def __init__(self, mask: BoxMask, height: int, width: int) -> None:
        self.mask = mask
        self.size = height, width


def _after_reading(name: str) -> Callable[..., Any]:
    """The method of dict, of one whose mask has been made."""
    method = getattr(dict, name)

    def reading(self: FoundObject, *args: Any, **kwargs: Any) -> Any:
        self._read()
        return method(self, *args, **kwargs)

    reading.__name__, reading.__doc__ = name, method.__doc__
    return reading


class FoundObject(dict):
    """One object: `bbox`, `mask`, `category`, `category_id`, `score`; see `predict`.

    A dict in every respect. `mask` is made when it is first read and then stays; copies and pickles
    of an unread object are as small as itself.
    """

    __hash__ = None

    @property
    def mask_area(self) -> int:
        """Pixels of the mask."""
        return int(np.count_nonzero(self._held().mask.bits))

    def as_rle(self) -> dict[str, Any]:
        """A plain dict that `json` can write: `mask` is COCO's compressed RLE."""
        return self._with(lambda mask, size: mask.rle(*size))

    def as_box(self) -> dict[str, Any]:
        """A plain dict; `mask` is (left, top, (h, w) uint8), zero outside of that window."""
        return self._with(lambda mask, size: (mask.x, mask.y, mask.bits))

    def _with(self, convert: Callable[[BoxMask, tuple[int, int]], Any]) -> dict[str, Any]:
        held = self._held()
        plain = {key: dict.__getitem__(self, key) for key in dict.keys(self)}
        return plain | {_MASK: convert(held.mask, held.size)}

    def _held(self) -> _Unread:
        """The mask in its compact form, of one that was read as it is now."""
        held = dict.get(self, _MASK)
        if isinstance(held, _Unread):
            return held
        assert isinstance(held, np.ndarray)
        return _Unread(_window_of(held), *held.shape)

    def _read(self) -> None:
        held = dict.get(self, _MASK)
        if isinstance(held, _Unread):
            dict.__setitem__(self, _MASK, held.mask.dense(*held.size))

    def __getitem__(self, key: str) -> Any:
        if key == _MASK:
            self._read()
        return dict.__getitem__(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        """As dict's."""
        if key == _MASK:
            self._read()
        return dict.get(self, key, default)

    def __iter__(self) -> Iterator[str]:
        # its being here makes dict(one) and {**one} ask for each value instead of copying them
        return dict.__iter__(self)

    def copy(self) -> FoundObject:
        """A shallow copy, unread if this is."""
        return self.__copy__()

    def __copy__(self) -> FoundObject:
        twin = FoundObject()
        for key in dict.keys(self):
            dict.__setitem__(twin, key, dict.__getitem__(self, key))
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        held = [(key, dict.__getitem__(self, key)) for key in dict.keys(self)]
        return FoundObject, (), None, None, iter(held)

    items = _after_reading("items")
    values = _after_reading("values")
    pop = _after_reading("pop")
    popitem = _after_reading("popitem")
    setdefault = _after_reading("setdefault")
    __or__ = _after_reading("__or__")
    __ror__ = _after_reading("__ror__")
    __eq__ = _after_reading("__eq__")
    __ne__ = _after_reading("__ne__")
    __repr__ = _after_reading("__repr__")


def as_object(
    detection: Detection, labels: Sequence[str], height: int, width: int, mask_format: str = DENSE
) -> dict[str, Any]:
    """One detection in the documented form.

    Args:
        labels: foreground class names.
        height, width: of the image, pixels.
        mask_format: one of MASK_FORMATS.
    """
    found = FoundObject(
        bbox=detection.xywh,
        mask=_Unread(detection.mask, height, width),
        category=labels[detection.class_index],
        category_id=detection.class_index + 1,
        score=detection.score,
    )
    if mask_format == RLE:
        return found.as_rle()
    return found.as_box() if mask_format == BOX else found


def dense_mask(mask: Any, height: int | None = None, width: int | None = None) -> np.ndarray:
    """The (H, W) uint8 mask of a result in any mask_format.

    Args:
        mask: the value of a result's `mask`.
        height, width: of the image, pixels; needed for mask_format 'box' only.

    Raises:
        ValueError: for a window without the image's size.
    """
    if isinstance(mask, np.ndarray):
        return mask
    if isinstance(mask, Mapping):
        return coco_mask.decode({**mask, "counts": mask["counts"]})
    if height is None or width is None:
        raise ValueError("masks of mask_format 'box' need the image's height and width")
    return BoxMask(*mask).dense(height, width)


def _window_of(mask: np.ndarray) -> BoxMask:
    """The smallest window that holds all of a dense mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return BoxMask(0, 0, np.zeros((0, 0), np.uint8))
    top, left = int(rows[0]), int(columns[0])
    bits = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    return BoxMask(left, top, np.ascontiguousarray(bits, dtype=np.uint8))
