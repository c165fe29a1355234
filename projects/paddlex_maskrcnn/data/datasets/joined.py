"""Several data sets as one, with classes joined by their names.

The joined set has the classes of its first part, then the new ones of the second, and so on; a name
that two parts share is one class, whatever its number in either. Ids are kept where no two parts
use the same, and given anew otherwise.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..transforms.compose import Compose
from .base import DetectionDataset, check_dataset
from .records import PackedRecords, Record
from .text_files import as_categories


class Joined(DetectionDataset):
    """Data sets one after the other."""

    def __init__(
        self,
        parts: Sequence[DetectionDataset | Mapping[str, Any]],
        transforms: Compose | None = None,
        num_workers: int | str = "auto",
        shuffle: bool = False,
        *,
        labels: Sequence[str] | None = None,
    ) -> None:
        """Join data sets.

        Args:
            parts: data sets, or mappings of `type` and the arguments of that class.
            transforms: operators of all parts; if None those of the parts, which must be the same.
            num_workers: loader processes, or 'auto'.
            shuffle: whether training sees the images in random order.
            labels: the classes and their order; None for those of the parts. A held-out set needs
                those of the training set.

        Raises:
            ValueError: if a part is no data set, or the parts do not fit together.
        """
        if not isinstance(parts, list | tuple) or not parts:
            raise ValueError(f"Joined: parts must be a non-empty list of data sets, got {parts!r}")
        opened = [_opened(part, f"Joined: parts[{k}]") for k, part in enumerate(parts)]
        names = _labels(opened, labels)
        super().__init__(
            name=" + ".join(part.name for part in opened),
            categories=_categories(opened, names),
            records=PackedRecords(_records(opened, names)),
            transforms=transforms if transforms is not None else _transforms(opened),
            num_workers=num_workers,
            shuffle=shuffle,
        )
        self.metric = "VOC" if all(part.metric == "VOC" for part in opened) else "COCO"


def join(parts: Sequence[DetectionDataset], **arguments: Any) -> Joined:
    """Data sets one after the other, with classes joined by name; arguments as `Joined`."""
    return Joined(parts, **arguments)


def _opened(part: Any, argument: str) -> DetectionDataset:
    if not isinstance(part, Mapping):
        check_dataset(part, argument)
        return part
    from . import DATASETS  # the table has this module's class in it

    arguments = dict(part)
    kind = arguments.pop("type", "CocoDetection")
    if kind not in DATASETS:
        raise ValueError(f"{argument}: type is {kind!r}; choose one of {', '.join(DATASETS)}")
    try:
        return DATASETS[kind](**arguments)
    except TypeError as error:
        raise ValueError(f"{argument}: {error}") from error


def _labels(parts: list[DetectionDataset], given: Sequence[str] | None) -> list[str]:
    found = list(dict.fromkeys(name for part in parts for name in part.labels))
    if given is None:
        return found
    left_out = [name for name in found if name not in given]
    if left_out or len(set(given)) < len(given):
        raise ValueError(
            f"Joined: labels must have each class of the parts once; "
            f"{', '.join(left_out) + ' missing' if left_out else 'one is given twice'}"
        )
    return list(given)


def _categories(parts: list[DetectionDataset], names: list[str]) -> list[dict[str, Any]]:
    """The parts' own where they agree on ids and order, numbered from 1 otherwise."""
    ids: dict[str, int] = {}
    for part in parts:
        for name, number in zip(part.labels, part.category_ids, strict=True):
            if ids.setdefault(name, number) != number:
                return as_categories(names)
    numbers = [ids.get(name, -1) for name in names]
    if -1 in numbers or numbers != sorted(set(numbers)):
        return as_categories(names)
    known = {one["name"]: one for part in parts for one in part.categories}
    return [dict(known[name]) for name in names]


def _transforms(parts: list[DetectionDataset]) -> Compose | None:
    first = parts[0].transforms
    for part in parts[1:]:
        ours, theirs = (one and one.to_config() for one in (first, part.transforms))
        if ours != theirs:
            raise ValueError(
                f"Joined: {parts[0].name} and {part.name} have different transforms; give "
                f"transforms, which are then those of all"
            )
    return first


def _records(parts: list[DetectionDataset], names: list[str]) -> Iterator[Record]:
    """All records, ids given anew where two parts use the same."""
    keep_images, keep_objects = _are_unique(parts)
    images = objects = 0
    for part in parts:
        classes = [names.index(name) for name in part.labels]
        for record in part.records:
            images += 1
            record["image_id"] = record["image_id"] if keep_images else images
            for one in record["annotations"]:
                objects += 1
                one["category_id"] = classes[one["category_id"]]
                one["id"] = one["id"] if keep_objects else objects
            yield record


def _are_unique(parts: list[DetectionDataset]) -> tuple[bool, bool]:
    """Whether image ids, and annotation ids, occur once in all parts together."""
    images: list[int] = []
    objects: list[int] = []
    for part in parts:
        for record in part.records:
            images.append(record["image_id"])
            objects += [one["id"] for one in record["annotations"]]
    return len(set(images)) == len(images), len(set(objects)) == len(objects)
