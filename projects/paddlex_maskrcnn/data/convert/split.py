"""A COCO json dealt into parts: each class in proportion, groups whole, the same for the same seed.

What: iterative stratification (Sechidis, Tsoumakas, Vlahavas, "On the stratification of multi-label
data", 2011): the rarest class is dealt first, each of its images to the part that wants most of it.
Differences: whole groups of images are dealt instead of single ones, and classes are counted in
objects; a part gets no more images than its share; every class is in the first part (what is only
held out cannot be learned), and in the others too where there are groups and room enough; at the
end groups are exchanged where that helps (see `swapping`).
"""

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.coco_file import CocoFile, is_id
from ..datasets.problems import DatasetError, Problems
from ..datasets.reading import OUTSIDE_FILE
from ..datasets.text_files import read_bytes
from .swapping import swap


@dataclass
class Group:
    """Images that must stay together.

    Attributes:
        images: their ids.
        objects: category id -> annotations, crowd regions left out.
    """

    images: list[int] = field(default_factory=list)
    objects: Counter[int] = field(default_factory=Counter)


class SplitSource:
    """A COCO json that is to be dealt, as it is in its file.

    Attributes:
        content: all of it.
        groups: its images, in groups.
        names: category id -> name.
    """

    def __init__(self, path: Path, group_by: str | None = None) -> None:
        """Read and group.

        Args:
            group_by: a key of the image entries, or a regular expression that is searched in
                `file_name` and whose groups (or whole match) name the group.

        Raises:
            DatasetError: if the file is not COCO, or an image has no group.
            ValueError: if `group_by` is no regular expression.
        """
        problems = Problems(str(path))
        file = CocoFile(path, problems)
        problems.found.pop(OUTSIDE_FILE, None)  # no picture is opened here
        unknown = [one.get("id") for one in file.annotations if not _belongs(one, file)]
        if problems.found:
            raise DatasetError(problems.report(skip_invalid=False))
        if unknown:
            raise DatasetError(
                f"{path}: {len(unknown)} annotations belong to no image or category of the file: "
                f"{unknown[:10]}; correct or delete them first"
            )
        self.content: dict[str, Any] = json.loads(read_bytes(path))
        self.names = {one["id"]: one["name"] for one in file.categories}
        self.groups = self._grouped(_group_namer(group_by, self.content["images"], path))

    def part(self, groups: Sequence[Group]) -> dict[str, Any]:
        """The content with the images of these groups only, in the order of the file."""
        kept = {number for group in groups for number in group.images}
        images = [one for one in self.content["images"] if one["id"] in kept]
        annotations = [one for one in self.content["annotations"] if one["image_id"] in kept]
        return {**self.content, "images": images, "annotations": annotations}

    def _grouped(self, namer: Callable[[dict[str, Any]], Any]) -> list[Group]:
        groups: dict[Any, Group] = {}
        of_image: dict[int, Group] = {}
        for image in self.content["images"]:
            group = groups.setdefault(namer(image), Group())
            group.images.append(image["id"])
            of_image[image["id"]] = group
        for one in self.content["annotations"]:
            if not one.get("iscrowd"):
                of_image[one["image_id"]].objects[one["category_id"]] += 1
        return list(groups.values())


def deal(groups: Sequence[Group], shares: Sequence[float], seed: int) -> list[list[Group]]:
    """Deal groups into parts.

    Args:
        groups: as many as there are parts, or more.
        shares: of each part, adding up to 1.
        seed: decides between what is equally good.

    Returns:
        the groups of each part.
    """
    dealer = _Dealer(groups, shares, seed)
    while dealer.groups_with:
        rarest = min(dealer.groups_with, key=lambda one: (dealer.groups_with[one], one))
        for position in dealer.with_class(rarest):
            dealer.deal(position, rarest)
    for position in dealer.by_size():
        dealer.deal(position, None)
    dealer.fill_empty()
    sizes, objects = [len(one.images) for one in groups], [one.objects for one in groups]
    parts = swap(sizes, objects, dealer.parts, shares, seed)
    return [[groups[k] for k in part] for part in parts]


class _Dealer:
    """Who has what, and who wants how much more."""

    def __init__(self, groups: Sequence[Group], shares: Sequence[float], seed: int) -> None:
        self.groups = groups
        self.parts: list[list[int]] = [[] for _ in shares]
        self.left = set(range(len(groups)))
        self.order = list(range(len(groups)))
        random.Random(seed).shuffle(self.order)
        self.share = share = np.array(shares, np.float64)
        self.wanted_images = share * sum(len(group.images) for group in groups)
        totals: Counter[int] = Counter()
        for group in groups:
            totals.update(group.objects)
        self.wanted = {one: share * count for one, count in totals.items()}
        self.without = {one: set(range(len(share))) for one in totals}
        self.groups_with: Counter[int] = Counter(one for group in groups for one in group.objects)

    def with_class(self, category: int) -> list[int]:
        """The groups left that have a class, those with most of it first."""
        found = [k for k in self.order if k in self.left and self.groups[k].objects[category]]
        return sorted(found, key=lambda k: -self.groups[k].objects[category])

    def by_size(self) -> list[int]:
        """The groups left, largest first."""
        found = [k for k in self.order if k in self.left]
        return sorted(found, key=lambda k: -len(self.groups[k].images))

    def deal(self, position: int, category: int | None) -> None:
        """Give a group to the part that wants it most."""
        group = self.groups[position]
        part = self._eager(group, category)
        self.parts[part].append(position)
        self.left.remove(position)
        self.wanted_images[part] -= len(group.images)
        for one, count in group.objects.items():
            self.wanted[one][part] -= count
            self.without[one].discard(part)
            self.groups_with[one] -= 1
            if not self.groups_with[one]:
                del self.groups_with[one]

    def fill_empty(self) -> None:
        """Give each part that got nothing the smallest group of the largest part."""
        for part in self.parts:
            if not part:
                largest = max(self.parts, key=len)
                smallest = min(largest, key=lambda k: len(self.groups[k].images))
                largest.remove(smallest)
                part.append(smallest)

    def _eager(self, group: Group, category: int | None) -> int:
        if any(0 in self.without[one] and self.groups_with[one] == 1 for one in group.objects):
            return 0  # the last chance of a class to be learned
        room = [p for p, wanted in enumerate(self.wanted_images) if wanted >= len(group.images) / 2]
        parts = room or list(range(len(self.parts)))
        if category is None:
            return max(parts, key=lambda part: (self.wanted_images[part], -part))
        without = self.without[category].intersection(parts)
        wanted = self.wanted[category] / self.share
        due = without and self.groups_with[category] <= len(without)
        return max(
            without if due else parts,
            key=lambda part: (wanted[part], self.wanted_images[part], -part),
        )


def _belongs(annotation: Mapping[str, Any], file: CocoFile) -> bool:
    image, category = annotation.get("image_id"), annotation.get("category_id")
    known = is_id(image) and image in file.image_ids
    return known and is_id(category) and category in file.category_ids


def _group_namer(
    group_by: str | None, images: list[dict[str, Any]], path: Path
) -> Callable[[dict[str, Any]], Any]:
    """What tells an image's group; without `group_by` each is its own."""
    if group_by is None:
        return lambda image: image["id"]
    if any(group_by in image for image in images):
        _refuse([one for one in images if group_by not in one], f"have no key {group_by!r}", path)
        return lambda image: json.dumps(image[group_by], sort_keys=True)
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise ValueError(
            f"--group-by {group_by!r} is neither a key of the images in {path} nor a regular "
            f"expression: {error}"
        ) from error
    found = {one["id"]: pattern.search(one["file_name"]) for one in images}
    _refuse([one for one in images if not found[one["id"]]], f"do not match {group_by!r}", path)

    def name(image: dict[str, Any]) -> Any:
        match = found[image["id"]]
        assert match is not None
        return match.groups() or match.group()

    return name


def _refuse(images: list[dict[str, Any]], what: str, path: Path) -> None:
    if images:
        listed = ", ".join(repr(one["file_name"]) for one in images[:5])
        raise DatasetError(f"--group-by: {len(images)} images of {path} {what}: {listed}")
