"""What `predict` returns for one object: a dict whose mask takes next to no memory until it is read.

Origin: the dicts of PaddleX 1.3's `predict`. Difference: the (H, W) mask of each object is made when
it is first read, so that a hundred objects of a 12-megapixel image do not take 1.2 GB unread.
Other programs' forms: `supervision.Detections` (https://supervision.roboflow.com, 0.20 and later) and
Detectron2's `Instances`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from detectron2.structures import Boxes, Instances
from pycocotools import mask as coco_mask

from .detections import BoxMask, Detection

DENSE, RLE, BOX = "dense", "rle", "box"
MASK_FORMATS = (DENSE, RLE, BOX)

_MASK = "mask"

Results = Sequence[Mapping[str, Any]]


class _Unread:
    """A mask before it is read: the compact form and the image's size."""

    def __init__(self, mask: BoxMask, height: int, width: int) -> None:
        self.mask = mask
        self.size = height, width


def _after_reading(name: str) -> Callable[..., Any]:
    """The method of dict, of one whose mask has been made."""
    method = getattr(dict, name)

    def reading(self: DetectedObject, *args: Any, **kwargs: Any) -> Any:
        self._read()
        return method(self, *args, **kwargs)

    reading.__name__, reading.__doc__ = name, method.__doc__
    return reading


class DetectedObject(dict):
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
        # its being here makes dict(result) and {**result} ask for each value instead of copying them
        return dict.__iter__(self)

    def copy(self) -> DetectedObject:
        """A shallow copy, unread if this is."""
        return self.__copy__()

    def __copy__(self) -> DetectedObject:
        twin = DetectedObject()
        for key in dict.keys(self):
            dict.__setitem__(twin, key, dict.__getitem__(self, key))
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        held = [(key, dict.__getitem__(self, key)) for key in dict.keys(self)]
        return DetectedObject, (), None, None, iter(held)

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
    result = DetectedObject(
        bbox=detection.xywh,
        mask=_Unread(detection.mask, height, width),
        category=labels[detection.class_index],
        category_id=detection.class_index + 1,
        score=detection.score,
    )
    if mask_format == RLE:
        return result.as_rle()
    return result.as_box() if mask_format == BOX else result


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


def to_supervision(results: Results, height: int | None = None, width: int | None = None) -> Any:
    """Predicted objects as `supervision.Detections`, in their order.

    Args:
        results: of one image, in any mask_format.
        height, width: of the image, pixels; needed for mask_format 'box' only.

    Returns:
        Detections with `xyxy`, `mask` (N, H, W) bool, `confidence`, `class_id` (0 is the first
        class) and the class names in `data["class_name"]`.

    Raises:
        ModuleNotFoundError: when supervision is not installed.
        ValueError: for windows without the image's size.
    """
    try:
        import supervision
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "to_supervision needs the package supervision; install it with: pip install supervision",
            name="supervision",
        ) from error
    if not results:
        return supervision.Detections.empty()
    return supervision.Detections(
        xyxy=_boxes(results),
        mask=_masks(results, height, width),
        confidence=np.array([result["score"] for result in results], np.float32),
        class_id=_classes(results),
        data={"class_name": np.array([result["category"] for result in results])},
    )


def to_instances(results: Results, height: int, width: int) -> Instances:
    """Predicted objects as Detectron2's `Instances`, in their order.

    Args:
        results: of one image, in any mask_format.
        height, width: of the image, pixels.

    Returns:
        Instances on the CPU with `pred_boxes`, `scores`, `pred_classes` (0 is the first class) and
        `pred_masks` (N, H, W) bool, as `DefaultPredictor` gives them and `Visualizer` draws them.

    Raises:
        ValueError: when a mask is not of this size.
    """
    masks = _masks(results, height, width)
    if masks.shape[1:] != (height, width):
        raise ValueError(
            f"height and width are {height} and {width}, but the results are of an image of "
            f"{masks.shape[1]} and {masks.shape[2]}"
        )
    instances = Instances((height, width))
    instances.pred_boxes = Boxes(torch.from_numpy(_boxes(results)))
    instances.scores = torch.tensor([result["score"] for result in results], dtype=torch.float32)
    instances.pred_classes = torch.from_numpy(_classes(results))
    instances.pred_masks = torch.from_numpy(masks)
    return instances


def _boxes(results: Results) -> np.ndarray:
    """(N, 4) x1, y1, x2, y2."""
    xywh = np.array([result["bbox"] for result in results], np.float32).reshape(-1, 4)
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


def _classes(results: Results) -> np.ndarray:
    return np.array([result["category_id"] - 1 for result in results], np.int64)


def _masks(results: Results, height: int | None, width: int | None) -> np.ndarray:
    if not results:
        return np.zeros((0, height or 0, width or 0), bool)
    return np.stack([dense_mask(result["mask"], height, width).astype(bool) for result in results])
