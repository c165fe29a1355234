"""Records as bytes in one array: small, and shared by worker processes without copies.

Origin: Detectron2's `_TorchSerializedList` and its reason: a forked process that touches Python
objects copies the pages they stand on, since touching counts references, so a list of dicts is
copied into every worker bit by bit. Difference: records are packed one by one while they are read,
so that the dicts of the whole data set never exist beside the bytes, and what many need (sizes,
classes) stands in columns of its own.
"""

import pickle
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np

Record = dict[str, Any]


class PackedRecords(Sequence[Record]):
    """A list of Detectron2 standard dicts; each access makes a new dict.

    Attributes:
        sizes: (N, 2) int32, height and width of each image in pixels.
        num_objects: (N,) int64, annotations of each image, crowd regions included.
        classes: (M,) int32, class of each annotation, image by image.
        is_crowd: (M,) bool, likewise.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        """Pack the records, which may come from a generator."""
        buffer = bytearray()
        ends, sizes, counts, classes, crowd = [], [], [], [], []
        for record in records:
            buffer += pickle.dumps(record, protocol=pickle.HIGHEST_PROTOCOL)
            ends.append(len(buffer))
            sizes.append((record["height"], record["width"]))
            counts.append(len(record["annotations"]))
            classes += [one["category_id"] for one in record["annotations"]]
            crowd += [bool(one["iscrowd"]) for one in record["annotations"]]
        self._bytes = np.frombuffer(buffer, np.uint8)
        self._ends = np.array([0, *ends], np.int64)
        self.sizes = np.array(sizes, np.int32).reshape(-1, 2)
        self.num_objects = np.array(counts, np.int64)
        self.classes = np.array(classes, np.int32)
        self.is_crowd = np.array(crowd, bool)

    def __len__(self) -> int:
        return len(self.num_objects)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> "PackedRecords": ...
    def __getitem__(self, index: int | slice) -> "Record | PackedRecords":
        if isinstance(index, slice):
            return self._part(*index.indices(len(self)))
        position = range(len(self))[index]  # IndexError, and negative positions from the end
        first, last = self._ends[position : position + 2]
        return pickle.loads(self._bytes[first:last].data)

    def __iter__(self) -> Iterator[Record]:
        return (self[position] for position in range(len(self)))

    def __add__(self, other: "PackedRecords") -> "PackedRecords":
        """Both, one after the other."""
        whole = PackedRecords()
        whole._bytes = np.concatenate([self._bytes, other._bytes])
        whole._ends = np.concatenate([self._ends, self._ends[-1] + other._ends[1:]])
        for column in ("sizes", "num_objects", "classes", "is_crowd"):
            joined = np.concatenate([getattr(self, column), getattr(other, column)])
            setattr(whole, column, joined)
        return whole

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        columns = (self.sizes, self.num_objects, self.classes, self.is_crowd)
        return self._bytes.nbytes + self._ends.nbytes + sum(one.nbytes for one in columns)

    def _part(self, start: int, stop: int, step: int) -> "PackedRecords":
        if step != 1:
            return PackedRecords(self[position] for position in range(start, stop, step))
        stop = max(start, stop)
        objects = np.concatenate([[0], np.cumsum(self.num_objects)])
        first, last = objects[start], objects[stop]
        part = PackedRecords()
        part._bytes = self._bytes[self._ends[start] : self._ends[stop]]
        part._ends = self._ends[start : stop + 1] - self._ends[start]
        part.sizes = self.sizes[start:stop]
        part.num_objects = self.num_objects[start:stop]
        part.classes, part.is_crowd = self.classes[first:last], self.is_crowd[first:last]
        return part
