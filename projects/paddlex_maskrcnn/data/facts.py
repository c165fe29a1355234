"""What the values that a run chooses itself (`auto`) depend on in the data: numbers, sizes, crowds.

Columns of the records say most. Boxes stand in the records themselves: of a large data set some images are
looked at, evenly spread. No picture is opened.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..config.auto_rules import DataFacts
from .datasets.base import DetectionDataset
from .datasets.records import PackedRecords

_OBJECTS = 20_000  # that are looked at, about
_SMALL = 10  # percentile


def data_facts(dataset: DetectionDataset) -> DataFacts:
    """The facts of training data; crowd regions are no objects."""
    records = dataset.records
    image = np.repeat(np.arange(len(records)), records.num_objects)
    objects = np.bincount(image[~records.is_crowd], minlength=len(records))
    shares = list(_object_shares(records, objects))
    return DataFacts(
        num_images=len(records),
        short_side=float(np.median(dataset.sizes.min(axis=1))) if len(records) else 0.0,
        small_object=float(np.percentile(shares, _SMALL)) if shares else None,
        most_objects=int(objects.max(initial=0)),
    )


def _object_shares(records: PackedRecords, objects: np.ndarray) -> Iterator[float]:
    """The side of objects as a share of the short side of their image.

    Args:
        objects: (N,) of each image.
    """
    step = max(1, round(objects.sum() / _OBJECTS))
    for row in np.flatnonzero(objects)[::step]:
        record = records[int(row)]
        short = min(record["height"], record["width"])
        for annotation in record["annotations"]:
            _, _, width, height = annotation["bbox"]
            if not annotation["iscrowd"] and width > 0 and height > 0:
                yield (width * height) ** 0.5 / short
