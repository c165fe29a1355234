"""The records of a data set, and what is made of all of them: COCO ground truth, a description.

Records are bytes in one array: small, and shared by worker processes without copies.
Origin: Detectron2's `_TorchSerializedList` and its reason: a forked process that touches Python
objects copies the pages they stand on, since touching counts references, so a list of dicts is
copied into every worker bit by bit. Difference: records are packed one by one while they are read,
so that the dicts of the whole data set never exist beside the bytes, and what many need (sizes,
classes) stands in columns of its own.
"""

import contextlib
import io
import pickle
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from pycocotools.coco import COCO

Record = dict[str, Any]

_MOST_NAMED = 20  # classes that a description names


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
        ends, sizes, counts, classes, crowd, files = [], [], [], [], [], []
        for record in records:
            buffer += pickle.dumps(record, protocol=pickle.HIGHEST_PROTOCOL)
            ends.append(len(buffer))
            sizes.append((record["height"], record["width"]))
            files.append(hash(record["file_name"]))
            counts.append(len(record["annotations"]))
            classes += [annotation["category_id"] for annotation in record["annotations"]]
            crowd += [bool(annotation["iscrowd"]) for annotation in record["annotations"]]
        self._bytes = np.frombuffer(buffer, np.uint8)
        self._ends = np.array([0, *ends], np.int64)
        self.sizes = np.array(sizes, np.int32).reshape(-1, 2)
        self._files = np.array(files, np.int64)  # hashes of their names
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
        for column in ("sizes", "_files", "num_objects", "classes", "is_crowd"):
            both = [getattr(self, column), getattr(other, column)]
            setattr(whole, column, np.concatenate(both))
        return whole

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        columns = (self.sizes, self._files, self.num_objects, self.classes, self.is_crowd)
        return self._bytes.nbytes + self._ends.nbytes + sum(column.nbytes for column in columns)

    def shared_files(self) -> np.ndarray:
        """Positions of the images whose file another one has too."""
        _, first, count = np.unique(self._files, return_inverse=True, return_counts=True)
        return np.flatnonzero(count[first] > 1)

    def _part(self, start: int, stop: int, step: int) -> "PackedRecords":
        """A slice; a contiguous one shares the bytes, so that `set_num_samples` costs nothing."""
        if step != 1:
            return PackedRecords(self[position] for position in range(start, stop, step))
        stop = max(start, stop)
        objects = np.concatenate([[0], np.cumsum(self.num_objects)])
        first, last = objects[start], objects[stop]
        part = PackedRecords()
        part._bytes = self._bytes[self._ends[start] : self._ends[stop]]
        part._ends = self._ends[start : stop + 1] - self._ends[start]
        part.sizes, part._files = self.sizes[start:stop], self._files[start:stop]
        part.num_objects = self.num_objects[start:stop]
        part.classes, part.is_crowd = self.classes[first:last], self.is_crowd[first:last]
        return part


def build_coco(records: Iterable[Record], categories: list[dict[str, Any]]) -> COCO:
    """The records as a pycocotools COCO object, with the file's own ids; prints nothing.

    Written from the records instead of read from the file again, so that what is evaluated is what
    is in use: skipped annotations, added negative images and `set_num_samples` all show here.
    """
    category_ids = [category["id"] for category in categories]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for record in records:
        images.append({key: record[key] for key in ("file_name", "height", "width")})
        images[-1]["id"] = record["image_id"]
        annotations += [
            _coco_annotation(annotation, record["image_id"], category_ids)
            for annotation in record["annotations"]
        ]
    coco = COCO()
    coco.dataset = {
        "info": {},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [dict(category) for category in categories],
    }
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        coco.createIndex()
    return coco


def _coco_annotation(
    annotation: dict[str, Any], image_id: int, category_ids: list[int]
) -> dict[str, Any]:
    # A new dict each: pycocotools writes into it while evaluating. Objects that are to be ignored
    # (VOC's difficult ones) go as crowd: the only way it has of counting neither for nor against.
    coco_annotation = {
        "id": annotation["id"],
        "image_id": image_id,
        "category_id": category_ids[annotation["category_id"]],
        "bbox": list(annotation["bbox"]),
        "area": annotation["area"],
        "iscrowd": int(annotation["iscrowd"] or annotation.get("ignore", 0)),
        "segmentation": annotation["segmentation"],
    }
    return {**coco_annotation, "difficult": 1} if annotation.get("ignore") else coco_annotation


def describe(name: str, records: PackedRecords, labels: Sequence[str]) -> str:
    """How many images, objects of each class, crowd regions and empty images, in one paragraph."""
    counts = Counter(records.classes[~records.is_crowd].tolist())
    crowd = int(records.is_crowd.sum())
    return (
        f"{name}: {len(records)} images, {len(records.classes) - crowd} objects, "
        f"{len(labels)} classes, {crowd} crowd regions, "
        f"{int((records.num_objects == 0).sum())} images without objects. "
        f"Objects of each class: {_class_table(counts, labels)}."
    )


def _class_table(counts: Counter[int], labels: Sequence[str]) -> str:
    present = [f"{labels[k]} {n}" for k, n in counts.most_common(_MOST_NAMED)]
    rest = len(counts) - len(present)
    absent = [name for k, name in enumerate(labels) if not counts[k]]
    parts = [", ".join(present) or "none"]
    if rest:
        parts.append(f"and {rest} classes with fewer")
    if absent:
        more = f" and {len(absent) - _MOST_NAMED} more" if len(absent) > _MOST_NAMED else ""
        parts.append(f"without objects: {', '.join(absent[:_MOST_NAMED])}{more}")
    return "; ".join(parts)
