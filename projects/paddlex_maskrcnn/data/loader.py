"""Batches from records: which records make the batch of a step, and loading them.

The order is a pure function of (seed, step), so that resuming at a step continues exactly.
Origin: Detectron2's samplers, aspect-ratio grouping and loaders. Differences: records are packed once, by
the data set (see datasets/records.py); training goes by whole epochs of the same length, with no record
twice in an epoch (unless rare classes are repeated, each time with an augmentation of its own) and no
batch that waits for partners from the next one; any number of workers or training processes sees the
same samples in the same order.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Subset

from ..system import one_opencv_thread, worker_count
from .datasets.base import DetectionDataset
from .datasets.records import PackedRecords
from .mapper import TestMapper, TrainMapper
from .samples import PinnableBatch, sample_seed

PREFETCHED_BATCHES = 4  # batches each worker prepares ahead; torch's 2 starves on uneven images
Position = tuple[int, int]  # (epoch, index of the record): what its augmentation depends on
_FAR_AWAY = 2**32  # epochs: no training gets there


class EpochBatches:
    """Endless batches of (epoch, record index), epoch after epoch.

    Each epoch has num_samples // batch_size batches; the records that are left over sit this epoch
    out. With aspect ratios, a batch is all landscape or all portrait (less padding), except one
    batch an epoch of what both groups leave over.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        aspect_ratios: Sequence[float] | np.ndarray | None,
        seed: int,
        shuffle: bool,
        start_step: int = 0,
        repeats: np.ndarray | None = None,
    ) -> None:
        """Set up the order.

        Args:
            aspect_ratios: width / height of each record, or None to batch any together.
            start_step: batches to skip, counted from the first epoch.
            repeats: how often each record is drawn, (N,) >= 1; an epoch keeps its length.

        Raises:
            ValueError: if there are fewer records than one batch takes.
        """
        if not 1 <= batch_size <= num_samples:
            raise ValueError(
                f"train_batch_size is {batch_size}, but the dataset has {num_samples} images; "
                f"it must be from 1 to {num_samples}"
            )
        if aspect_ratios is not None:
            assert len(aspect_ratios) == num_samples, (len(aspect_ratios), num_samples)
            aspect_ratios = np.asarray(aspect_ratios)
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.aspect_ratios = aspect_ratios
        self.seed = seed
        self.shuffle = shuffle
        self.start_step = start_step
        self.repeats = repeats

    @property
    def batches_per_epoch(self) -> int:
        """Steps in one epoch."""
        return self.num_samples // self.batch_size

    def __iter__(self) -> Iterator[list[Position]]:
        epoch, skip = divmod(self.start_step, self.batches_per_epoch)
        while True:
            yield from self._positions(epoch)[skip:]
            epoch, skip = epoch + 1, 0

    def _positions(self, epoch: int) -> list[list[Position]]:
        """The batches of an epoch; a record's second draw counts as one of an epoch far away."""
        draws: Counter[int] = Counter()
        batches = []
        for batch in self._epoch(epoch):
            positions = []
            for index in batch.tolist():
                positions.append((epoch + draws[index] * _FAR_AWAY, index))
                draws[index] += 1
            batches.append(positions)
        return batches

    def _epoch(self, epoch: int) -> list[np.ndarray]:
        order = np.arange(self.num_samples)
        random = np.random.default_rng([self.seed, epoch])
        if self.repeats is not None:
            # fractional repeats are rounded up or down at random, anew in each epoch
            whole = np.floor(self.repeats)
            times = whole + (random.random(self.num_samples) < self.repeats - whole)
            order = random.permutation(order.repeat(times.astype(int)))[: self.num_samples]
            if not self.shuffle:
                order.sort()
        elif self.shuffle:
            order = random.permutation(order)
        if self.aspect_ratios is None:
            return self._cut(order)
        return self._grouped(order, self.aspect_ratios[order] > 1)

    def _cut(self, order: np.ndarray) -> list[np.ndarray]:
        whole = len(order) // self.batch_size * self.batch_size
        return np.split(order[:whole], whole // self.batch_size) if whole else []

    def _grouped(self, order: np.ndarray, landscape: np.ndarray) -> list[np.ndarray]:
        """Batches in the order in which their last record comes up; the mixed one at the end."""
        batches: list[tuple[int, np.ndarray]] = []
        left: list[np.ndarray] = []
        for group in (np.flatnonzero(landscape), np.flatnonzero(~landscape)):
            batches += [(int(members[-1]), order[members]) for members in self._cut(group)]
            left.append(group[len(group) // self.batch_size * self.batch_size :])
        batches.sort(key=lambda batch: batch[0])
        rest = np.sort(np.concatenate(left))
        return [batch for _, batch in batches] + [order[members] for members in self._cut(rest)]


def repeat_factors(records: PackedRecords, threshold: float) -> np.ndarray:
    """How often each record is drawn, (N,) >= 1: the largest sqrt(threshold / f) of its classes.

    f is the share of images with the class. Paper: LVIS, https://arxiv.org/abs/1908.03195.
    """
    image = np.repeat(np.arange(len(records)), records.num_objects)
    image, classes = np.unique(np.stack([image, records.classes]), axis=1)
    share = np.bincount(classes) / max(len(records), 1)
    factors = np.ones(len(records))
    np.maximum.at(factors, image, np.sqrt(threshold / share[classes]))
    return factors


class _Shard:
    """The part of each global batch that belongs to one of several training processes."""

    def __init__(self, batches: EpochBatches, rank: int, world: int) -> None:
        self.batches, self.rank, self.world = batches, rank, world

    def __iter__(self) -> Iterator[list[Position]]:
        for batch in self.batches:
            yield batch[self.rank :: self.world]


class _TrainSamples(Dataset):
    def __init__(self, records: PackedRecords, mapper: TrainMapper) -> None:
        self.records, self.mapper = records, mapper

    def __getitem__(self, position: Position) -> dict[str, Any]:
        epoch, index = position
        record = self.records[index]
        try:
            sample = self.mapper(record, epoch, index, self.records)
        except Exception as error:
            raise _naming_the_file(error, record) from error
        return {**sample, "sample_seed": sample_seed(self.mapper.seed, epoch, index)}


class _LossSamples(_TrainSamples):
    """Records by their index, as in the first epoch of training."""

    def __getitem__(self, position: int) -> dict[str, Any]:  # type: ignore[override]
        return super().__getitem__((0, position))


class _TestSamples(Dataset):
    def __init__(self, records: PackedRecords, mapper: TestMapper) -> None:
        self.records, self.mapper = records, mapper

    def __getitem__(self, index: int) -> dict[str, Any]:
        record = self.records[index]
        try:
            return self.mapper(record)
        except Exception as error:
            raise _naming_the_file(error, record) from error


class _Loader(DataLoader):
    """Stops its worker processes as soon as iteration ends, by an error too.

    Left to garbage collection after an error, torch's iterator waits five seconds for workers that
    its own queue, collected first, no longer reaches. It has a generator of its own, since torch
    draws a number for the workers that would otherwise shift the network's random stream.
    """

    def __init__(self, samples: Dataset, **options: Any) -> None:
        super().__init__(samples, generator=torch.Generator(), **options)

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:  # type: ignore[override]
        with one_opencv_thread():
            batches = super().__iter__()
        try:
            yield from batches
        finally:
            stop = getattr(batches, "_shutdown_workers", None)
            if stop is not None:
                stop()


def share_of_batch(batch_size: int, world: int) -> int:
    """Images of a batch that each of several processes gets.

    Raises:
        ValueError: if they cannot share it evenly.
    """
    if batch_size % world:
        raise ValueError(
            f"train_batch_size {batch_size} cannot be split between {world} processes; "
            f"use a multiple of {world}"
        )
    return batch_size // world


def build_train_loader(
    dataset: DetectionDataset,
    mapper: TrainMapper,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    num_workers: int | str | None = None,
    shard: tuple[int, int] = (0, 1),
    repeat_threshold: float | None = None,
    pinned: bool = False,
) -> DataLoader:
    """Endless loader of lists of model inputs.

    Args:
        batch_size: images a step, of all processes together.
        start_step: steps done before, when resuming.
        num_workers: loader processes, or 'auto'; if None as the dataset says.
        shard: (rank, number of training processes).
        repeat_threshold: draw images with classes rarer than this share of the images more often.
        pinned: copy tensors into pinned memory, for a GPU.

    Raises:
        ValueError: if the batch is larger than the dataset or cannot be split between processes.
    """
    rank, world = shard
    share_of_batch(batch_size, world)
    records = dataset.records
    height, width = records.sizes.T
    batches = EpochBatches(
        len(records), batch_size, width / height, seed, dataset.shuffle, start_step,
        repeats=repeat_factors(records, repeat_threshold) if repeat_threshold else None,
    )  # fmt: skip
    samples = _TrainSamples(records, mapper)
    return _Loader(
        samples,
        batch_sampler=_Shard(batches, rank, world),
        **_collation(pinned),
        **_worker_options(dataset.num_workers if num_workers is None else num_workers),
    )


def build_test_loader(
    dataset: DetectionDataset,
    mapper: TestMapper,
    *,
    batch_size: int,
    num_workers: int | str | None = None,
    shard: tuple[int, int] = (0, 1),
    pinned: bool = False,
) -> DataLoader:
    """Loader of lists of model inputs, each image once, in order.

    Args:
        batch_size: images a batch, of this process.
        num_workers: loader processes, or 'auto'; if None as the dataset says.
        shard: (rank, number of processes); each gets one contiguous part.
        pinned: copy tensors into pinned memory, for a GPU.
    """
    return _Loader(
        Subset(_TestSamples(dataset.records, mapper), _part(dataset, shard)),
        batch_size=batch_size,
        **_collation(pinned),
        **_worker_options(dataset.num_workers if num_workers is None else num_workers),
    )


def build_loss_loader(
    dataset: DetectionDataset,
    mapper: TrainMapper,
    shard: tuple[int, int] = (0, 1),
    *,
    pinned: bool = False,
) -> DataLoader:
    """Loader of lists of one model input with its objects, each image once, in order.

    Args:
        shard: (rank, number of processes); each gets one contiguous part.
        pinned: copy tensors into pinned memory, for a GPU.
    """
    return _Loader(
        Subset(_LossSamples(dataset.records, mapper), _part(dataset, shard)),
        batch_size=1,
        **_collation(pinned),
        **_worker_options(dataset.num_workers),
    )


def _part(dataset: DetectionDataset, shard: tuple[int, int]) -> range:
    """Indices of the records of one process."""
    rank, world = shard
    first, last = (dataset.num_samples * part // world for part in (rank, rank + 1))
    return range(first, last)


def _collation(pinned: bool) -> dict[str, Any]:
    return {"collate_fn": PinnableBatch if pinned else _as_list, "pin_memory": pinned}


def _worker_options(num_workers: int | str) -> dict[str, Any]:
    count = worker_count(num_workers)
    if not count:
        return {"num_workers": 0}
    return {
        "num_workers": count,
        "prefetch_factor": PREFETCHED_BATCHES,
        # Forked workers share the records without copying and need no main guard in scripts.
        "multiprocessing_context": "fork" if sys.platform == "linux" else None,
    }


def _as_list(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return samples


def _naming_the_file(error: Exception, record: dict[str, Any]) -> Exception:
    """An error that says which image; worker processes lose everything but the message."""
    kind = ValueError if isinstance(error, ValueError | OSError) else RuntimeError
    if record["file_name"] in str(error):
        return kind(str(error))
    return kind(f"image {record['file_name']!r} cannot be used: {error}")
