"""Detections of a whole data set, kept small: a few numbers and a run-length mask each."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np
from pycocotools import mask as coco_mask

from ..garbage_collection import collection_paused

Row = dict[str, Any]

BBOX, SEGM = "bbox", "segm"
KINDS = (BBOX, SEGM)


def box_region(box: Sequence[float], size: Sequence[int]) -> tuple[slice, slice]:
    """Rows and columns of the pixels that a box touches, inside the image.

    A mask never reaches beyond it: half a cell outside of the box a mask head's output is below 0.5.

    Args:
        box: [x, y, width, height] in pixels.
        size: (height, width) of the image.
    """
    x, y, w, h = box
    rows = slice(max(math.floor(y), 0), min(math.ceil(y + h), size[0]))
    return rows, slice(max(math.floor(x), 0), min(math.ceil(x + w), size[1]))


class ResultRows(Sequence[Row]):
    """COCO result dicts in a third of the memory that a list of them takes; an access makes a new dict.

    A row has `image_id`, `category_id`, `bbox` [x, y, width, height] in pixels, `score` and
    `segmentation`, {'size': [height, width], 'counts': str}; rows of boxes alone have no
    `segmentation`, and a row that came without a box has the one around its mask.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        """Keep the rows, which may come from a generator."""
        self._ids = array("q")  # image and category, alternating
        self._numbers = array("d")  # x, y, width, height, score
        self._sizes = array("i")  # height and width of the mask, 0 without one
        self._counts = bytearray()
        self._ends = array("q", [0])
        for row in rows:
            self.append(row)

    @classmethod
    def of(cls, rows: Iterable[Row]) -> ResultRows:
        """The rows themselves when they are of this class, otherwise a small copy."""
        return rows if isinstance(rows, ResultRows) else cls(rows)

    @classmethod
    def joined(cls, parts: Iterable[ResultRows]) -> ResultRows:
        """The rows of several, in order."""
        whole = cls()
        for part in parts:
            whole._ids += part._ids
            whole._numbers += part._numbers
            whole._sizes += part._sizes
            start = len(whole._counts)
            whole._ends.extend(start + end for end in part._ends[1:])
            whole._counts += part._counts
        return whole

    def append(self, row: Row) -> None:
        """Add a COCO result dict with `bbox`, `segmentation` or both."""
        mask = row.get("segmentation")
        box = row.get("bbox")
        if box is None:
            box = coco_mask.toBbox(row["segmentation"]).tolist()
        self._ids.extend((int(row["image_id"]), int(row["category_id"])))
        self._numbers.extend((*map(float, box), float(row["score"])))
        self._sizes.extend((0, 0) if mask is None else mask["size"])
        if mask is not None:
            counts = mask["counts"]
            self._counts += counts.encode("ascii") if isinstance(counts, str) else counts
        self._ends.append(len(self._counts))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = range(len(self))[index]  # IndexError, and negative positions from the end
        row = {
            "image_id": self._ids[2 * i],
            "category_id": self._ids[2 * i + 1],
            "bbox": self._numbers[5 * i : 5 * i + 4].tolist(),
            "score": self._numbers[5 * i + 4],
        }
        mask = self.mask(i)
        return row | {"segmentation": mask} if mask else row

    def mask(self, i: int) -> dict[str, Any] | None:
        """Run-length mask of row i; None of a row without one."""
        size = self._sizes[2 * i : 2 * i + 2].tolist()
        counts = self._counts[self._ends[i] : self._ends[i + 1]]
        return {"size": size, "counts": counts.decode("ascii")} if counts else None

    @collection_paused()
    def of_kind(self, kind: str) -> list[Row]:
        """The rows with nothing but what a file of `bbox` or `segm` results holds."""
        rows = zip(
            self._ids[::2], self._ids[1::2], self.boxes.tolist(), self._numbers[4::5], strict=True
        )
        if kind == BBOX:
            return [
                {"image_id": image, "category_id": category, "bbox": box, "score": score}
                for image, category, box, score in rows
            ]
        return [
            {"image_id": image, "category_id": category, "segmentation": mask, "score": score}
            for (image, category, _, score), mask in zip(rows, self.masks(), strict=True)
        ]

    def masks(self, as_text: bool = True) -> list[dict[str, Any] | None]:
        """Run-length mask of each row.

        Args:
            as_text: counts as str, which JSON needs; False: as bytes, which pycocotools reads faster.
        """
        sizes = np.array(self._sizes).reshape(-1, 2).tolist()
        counts: str | bytes = self._counts.decode("ascii") if as_text else bytes(self._counts)
        return [
            {"size": size, "counts": counts[start:end]} if end > start else None
            for size, start, end in zip(sizes, self._ends[:-1], self._ends[1:], strict=True)
        ]

    @property
    def has_masks(self) -> bool:
        """Whether every row has a mask."""
        return bool((np.diff(self._ends) > 0).all())

    @property
    def image_ids(self) -> np.ndarray:
        """(N,) int64."""
        return np.array(self._ids).reshape(-1, 2)[:, 0]

    @property
    def category_ids(self) -> np.ndarray:
        """(N,) int64."""
        return np.array(self._ids).reshape(-1, 2)[:, 1]

    @property
    def boxes(self) -> np.ndarray:
        """(N, 4) x, y, width, height in pixels."""
        return np.array(self._numbers).reshape(-1, 5)[:, :4]

    @property
    def scores(self) -> np.ndarray:
        """(N,) float64."""
        return np.array(self._numbers).reshape(-1, 5)[:, 4]
