"""Every image of a part looked at once, in several processes: its file and its objects."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ..datasets.base import DetectionDataset
from ..datasets.records import PackedRecords
from ..loader import one_opencv_thread, worker_count
from .fingerprints import Fingerprint, fingerprint
from .objects import Objects, Twin, measured

_CHUNK = 16  # images a worker hands over at once
_WORTH_A_PROCESS = 64  # images; starting one takes about as long


@dataclass
class Scan:
    """What was measured of one part.

    Attributes:
        name: of the part.
        source: names the data set in messages.
        labels: names of the classes.
        files: path of each image.
        ids: image id of each image.
        sizes: (N, 2) height and width of each image, pixels.
        prints: fingerprint of each image.
        objects: one row an annotation.
        twins: annotations of the same object.
    """

    name: str
    source: str
    labels: list[str]
    files: list[str]
    ids: list[int]
    sizes: np.ndarray
    prints: list[Fingerprint]
    objects: Objects
    twins: list[Twin]

    @property
    def per_image(self) -> np.ndarray:
        """(N,) objects of each image, crowd regions left out."""
        counted = self.objects.image[~self.objects.is_crowd]
        return np.bincount(counted, minlength=len(self.files))


@dataclass
class _Seen:
    file: str
    number: int
    print: Fingerprint
    objects: Objects
    twins: list[Twin]


class _Images(Dataset):
    """One chunk of images at a time, so that few messages pass between processes."""

    def __init__(self, records: PackedRecords) -> None:
        self.records = records

    def __len__(self) -> int:
        return -(-len(self.records) // _CHUNK)

    def __getitem__(self, chunk: int) -> list[_Seen]:
        last = min((chunk + 1) * _CHUNK, len(self.records))
        return [_look_at(self.records, image) for image in range(chunk * _CHUNK, last)]


def scan(
    dataset: DetectionDataset,
    name: str,
    num_workers: int | str = "auto",
    progress: Callable[[int], None] | None = None,
) -> Scan:
    """Look at every image and every object of a data set.

    Args:
        name: of the part.
        num_workers: processes, or 'auto' for half the cores, at most eight.
        progress: told how many more images are done.
    """
    seen: list[_Seen] = []
    for chunk in _chunks(dataset.records, num_workers):
        seen += chunk
        if progress:
            progress(len(chunk))
    return Scan(
        name=name,
        source=dataset.name,
        labels=dataset.labels,
        files=[one.file for one in seen],
        ids=[one.number for one in seen],
        sizes=dataset.sizes,
        prints=[one.print for one in seen],
        objects=Objects.joined([one.objects for one in seen]),
        twins=[twin for one in seen for twin in one.twins],
    )


def _chunks(records: PackedRecords, num_workers: int | str) -> Iterator[list[_Seen]]:
    images = _Images(records)
    workers = min(worker_count(num_workers), len(records) // _WORTH_A_PROCESS)
    if workers < 1:
        return (images[chunk] for chunk in range(len(images)))
    loader = DataLoader(
        images,
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        multiprocessing_context="fork" if sys.platform == "linux" else None,
        generator=torch.Generator(),
    )
    with one_opencv_thread():
        return iter(loader)


def _as_it_is(chunk: list[_Seen]) -> list[_Seen]:
    return chunk


def _look_at(records: PackedRecords, image: int) -> _Seen:
    record = records[image]
    objects, twins = measured(record, image)
    found = fingerprint(record["file_name"], (record["height"], record["width"]))
    return _Seen(record["file_name"], record["image_id"], found, objects, twins)
