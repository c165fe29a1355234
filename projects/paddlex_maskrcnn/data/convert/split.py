"""A COCO set dealt into parts: each class in proportion, groups whole, the same for the same seed.

What: iterative stratification (Sechidis, Tsoumakas, Vlahavas, "On the stratification of multi-label
data", 2011): the rarest class is dealt first, each of its images to the part that wants most of it.
Differences: whole groups of images are dealt instead of single ones, and classes are counted in
objects; a part gets no more images than its share; every class is in the first part (what is only
held out cannot be learned), and in the others too where there are groups and room enough; at the
end groups are exchanged where that helps (`exchange`).
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.coco_file import CocoFile
from ..datasets.problems import DatasetError, Problems
from ..datasets.values import is_integer, truth

_TRIES_A_GROUP = 50  # exchanges that are tried, of two groups drawn at random
_MOST_TRIES = 20_000
_FINE, _FINE_OF_FIRST = 0.5, 10.0  # for a class that a part has none of


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
    """COCO content that is to be dealt.

    Attributes:
        content: all of it.
        groups: its images, in groups.
        names: category id -> name.
    """

    def __init__(self, content: dict[str, Any], source: str, group_by: str | None = None) -> None:
        """Group the images of content that was checked.

        Args:
            source: names it in messages.
            group_by: a key of the image entries, or a regular expression that is searched in
                `file_name` and whose groups (or whole match) name the group.

        Raises:
            DatasetError: if an image has no group.
            ValueError: if `group_by` is no regular expression.
        """
        self.content = content
        self.names = {category["id"]: category["name"] for category in content["categories"]}
        self.groups = self._grouped(_group_namer(group_by, content["images"], source))

    @classmethod
    def of_file(cls, path: Path, group_by: str | None = None) -> SplitSource:
        """A COCO json, as it is in its file.

        Raises:
            DatasetError: if the file is not COCO, or an image has no group.
            ValueError: if `group_by` is no regular expression.
        """
        problems = Problems(str(path))
        file = CocoFile(path, problems)
        unknown = [entry.get("id") for entry in file.annotations if not _belongs(entry, file)]
        if problems.occurrences:
            raise DatasetError(problems.report(skip_invalid=False))
        if unknown:
            raise DatasetError(
                f"{path}: {len(unknown)} annotations belong to no image or category of the file: "
                f"{unknown[:10]}; correct or delete them first"
            )
        return cls(file.content, str(path), group_by)

    def part(self, groups: Sequence[Group]) -> dict[str, Any]:
        """The content with the images of these groups only, in the order of the file."""
        ids = {number for group in groups for number in group.images}
        images = [image for image in self.content["images"] if image["id"] in ids]
        annotations = [
            annotation
            for annotation in self.content["annotations"]
            if annotation["image_id"] in ids
        ]
        return {**self.content, "images": images, "annotations": annotations}

    def _grouped(self, namer: Callable[[dict[str, Any]], Any]) -> list[Group]:
        groups: dict[Any, Group] = {}
        of_image: dict[int, Group] = {}
        for image in self.content["images"]:
            group = groups.setdefault(namer(image), Group())
            group.images.append(image["id"])
            of_image[image["id"]] = group
        for annotation in self.content["annotations"]:
            if not truth(annotation.get("iscrowd")):
                objects = of_image[annotation["image_id"]].objects
                objects[annotation["category_id"]] += 1
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
        rarest = min(
            dealer.groups_with, key=lambda category: (dealer.groups_with[category], category)
        )
        for position in dealer.with_class(rarest):
            dealer.deal(position, rarest)
    for position in dealer.by_size():
        dealer.deal(position, None)
    dealer.fill_empty()
    sizes, objects = [len(group.images) for group in groups], [group.objects for group in groups]
    parts = exchange(sizes, objects, dealer.parts, shares, seed)
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
        self.wanted = {category: share * count for category, count in totals.items()}
        self.without = {category: set(range(len(share))) for category in totals}
        self.groups_with: Counter[int] = Counter(
            category for group in groups for category in group.objects
        )

    def with_class(self, category: int) -> list[int]:
        """The groups left that have a class, those with most of it first."""
        groups = [k for k in self.order if k in self.left and self.groups[k].objects[category]]
        return sorted(groups, key=lambda k: -self.groups[k].objects[category])

    def by_size(self) -> list[int]:
        """The groups left, largest first."""
        groups = [k for k in self.order if k in self.left]
        return sorted(groups, key=lambda k: -len(self.groups[k].images))

    def deal(self, position: int, category: int | None) -> None:
        """Give a group to the part that wants it most."""
        group = self.groups[position]
        part = self._eager(group, category)
        self.parts[part].append(position)
        self.left.remove(position)
        self.wanted_images[part] -= len(group.images)
        for each, count in group.objects.items():
            self.wanted[each][part] -= count
            self.without[each].discard(part)
            self.groups_with[each] -= 1
            if not self.groups_with[each]:
                del self.groups_with[each]

    def fill_empty(self) -> None:
        """Give each part that got nothing the smallest group of the largest part."""
        for part in self.parts:
            if not part:
                largest = max(self.parts, key=len)
                smallest = min(largest, key=lambda k: len(self.groups[k].images))
                largest.remove(smallest)
                part.append(smallest)

    def _eager(self, group: Group, category: int | None) -> int:
        if any(0 in self.without[each] and self.groups_with[each] == 1 for each in group.objects):
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


def exchange(
    sizes: Sequence[int],
    objects: Sequence[Mapping[int, int]],
    parts: Sequence[Sequence[int]],
    shares: Sequence[float],
    seed: int,
) -> list[list[int]]:
    """Parts of the same numbers of images, nearer to their shares of each class.

    A local search: two groups of as many images in different parts change sides where that lowers
    sum over parts and classes of (count - share x total)^2 / total, with a fine for classes that a
    part has none of, a heavier one for the first part, which is learned from.

    Args:
        sizes: images of each group.
        objects: class -> objects, of each group.
        parts: positions of the groups in each part.
        shares: of each part, adding up to 1.
        seed: of the search.
    """
    counts = _matrix(objects)
    part_of = np.zeros(len(sizes), np.int64)
    for part, positions in enumerate(parts):
        part_of[list(positions)] = part
    total = counts.sum(axis=0)
    wanted, weight = np.outer(shares, total), 1 / np.maximum(total, 1)
    have = np.stack([counts[part_of == part].sum(axis=0) for part in range(len(parts))])

    def cost(part: int, held: np.ndarray) -> float:
        missing = np.count_nonzero(held <= 0) * (_FINE if part else _FINE_OF_FIRST)
        return float(((held - wanted[part]) ** 2 * weight).sum()) + missing

    costs = [cost(part, held) for part, held in enumerate(have)]
    tries = min(_MOST_TRIES, _TRIES_A_GROUP * len(sizes))
    for a, b in np.random.default_rng(seed).integers(0, len(sizes), (tries, 2)):
        p, q = int(part_of[a]), int(part_of[b])
        if p == q or sizes[a] != sizes[b]:
            continue
        change = counts[b] - counts[a]
        here, there = cost(p, have[p] + change), cost(q, have[q] - change)
        if here + there < costs[p] + costs[q] - 1e-9:
            have[p] += change
            have[q] -= change
            costs[p], costs[q] = here, there
            part_of[a], part_of[b] = q, p
    return [np.flatnonzero(part_of == part).tolist() for part in range(len(parts))]


def _matrix(objects: Sequence[Mapping[int, int]]) -> np.ndarray:
    """(groups, classes) objects."""
    classes = sorted({category for group in objects for category in group})
    column = {category: k for k, category in enumerate(classes)}
    counts = np.zeros((len(objects), len(classes)))
    for row, group in zip(counts, objects, strict=True):
        for category, number in group.items():
            row[column[category]] = number
    return counts


def _belongs(annotation: Mapping[str, Any], file: CocoFile) -> bool:
    image, category = annotation.get("image_id"), annotation.get("category_id")
    has_image = is_integer(image) and image in file.image_ids
    return has_image and is_integer(category) and category in file.category_ids


def _group_namer(
    group_by: str | None, images: list[dict[str, Any]], source: str
) -> Callable[[dict[str, Any]], Any]:
    """What tells an image's group; without `group_by` each is its own."""
    if group_by is None:
        return lambda image: image["id"]
    if any(group_by in image for image in images):
        _refuse(
            [image for image in images if group_by not in image],
            f"have no key {group_by!r}",
            source,
        )
        return lambda image: json.dumps(image[group_by], sort_keys=True)
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise ValueError(
            f"--group-by {group_by!r} is neither a key of the images in {source} nor a regular "
            f"expression: {error}"
        ) from error
    matches = {image["id"]: pattern.search(image["file_name"]) for image in images}
    _refuse(
        [image for image in images if not matches[image["id"]]],
        f"do not match {group_by!r}",
        source,
    )

    def name(image: dict[str, Any]) -> Any:
        match = matches[image["id"]]
        assert match is not None
        return match.groups() or match.group()

    return name


def _refuse(images: list[dict[str, Any]], what: str, source: str) -> None:
    if images:
        listed = ", ".join(repr(image["file_name"]) for image in images[:5])
        raise DatasetError(f"--group-by: {len(images)} images of {source} {what}: {listed}")
