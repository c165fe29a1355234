"""Part of a data set set aside to measure on: classes in proportion, images that look alike on one side."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .check.duplicates import alike
from .check.scan import Scan
from .convert.split import Group, deal
from .datasets.problems import DatasetError


@dataclass(frozen=True)
class HeldOut:
    """A data set in two.

    Attributes:
        train, eval: positions of images, in order.
        num_alike: groups of images that look nearly the same, none of which is divided.
    """

    train: list[int]
    eval: list[int]
    num_alike: int


def hold_out(scan: Scan, share: float, seed: int) -> HeldOut:
    """Deal the images of a data set.

    Args:
        scan: of the whole data set.
        share: of the images that are set aside.
        seed: decides between what is equally good.

    Raises:
        DatasetError: when there is nothing that can be set aside.
    """
    count = len(scan.files)
    if count < 2:
        raise DatasetError(
            f"{scan.source} has {count} image{'s' * (count != 1)}: one is needed to learn from and another "
            "to measure on; label more"
        )
    similar = alike(scan.fingerprints)
    grouped = {position for group in similar for position in group}
    groups = similar + [[position] for position in range(count) if position not in grouped]
    if len(groups) < 2:
        raise DatasetError(
            f"{scan.source}: all {count} images look nearly the same, so none can be held out to "
            "measure on; label pictures of other scenes, or put some into a folder named val"
        )
    objects = _objects_of(scan)
    dealt = deal(
        [Group(group, sum((objects[k] for k in group), Counter())) for group in groups],
        [1 - share, share],
        seed,
    )
    train, held_out = (sorted(k for group in part for k in group.images) for part in dealt)
    return HeldOut(train, held_out, len(similar))


def _objects_of(scan: Scan) -> list[Counter[int]]:
    """Class -> objects of each image, crowd regions left out."""
    counts: list[Counter[int]] = [Counter() for _ in scan.files]
    objects, counted = scan.objects, ~scan.objects.is_crowd
    for image, category in zip(
        objects.image[counted].tolist(), objects.category[counted].tolist(), strict=True
    ):
        counts[image][category] += 1
    return counts
