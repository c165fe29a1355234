"""Which records make the batch of a given step.

The order is a pure function of (seed, step), so that resuming at a step continues exactly.
Difference to Detectron2's samplers and aspect-ratio grouping: whole epochs of the same length, with
no record twice in an epoch (unless rare classes are repeated, each time with an augmentation of its
own) and no batch that waits for partners from the next one.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from .datasets.records import PackedRecords

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
