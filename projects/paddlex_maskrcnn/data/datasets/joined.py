"""Data sets by the name of their class, and several as one, with classes joined by their names.

The joined set has the classes of its first part, then the new ones of the second, and so on; a name
that two parts share is the same class, whatever its number in either. Ids stay where no two parts use the
same, and are given anew otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...config import signatures
from ...config.check import ConfigError
from ...config.dataset_params import DatasetChoice, JoinedParams
from ...config.signature import from_checked, takes_params
from .base import Content, DetectionDataset, as_categories, check_dataset
from .coco import CocoDetection
from .cvat import CvatDetection
from .drawn import DrawnShapes
from .easydata import EasyDataDet
from .label_studio import LabelStudioDetection
from .labelme import LabelMeDetection
from .records import PackedRecords, Record
from .voc import VOCDetection
from .yolo import YoloSegmentation

if TYPE_CHECKING:
    from ..transforms.compose import Compose


class Joined(DetectionDataset):
    """Data sets one after the other.

    Its parts are data sets, or mappings of `type` and the arguments of that class. Without transforms
    it has those of the parts, which must be the same. A held-out set needs the labels of its training
    set.
    """

    @takes_params(JoinedParams, "Joined", like=signatures.Joined)
    def __init__(self, params: JoinedParams) -> None:
        """Join data sets.

        Raises:
            ValueError: if a part is no data set, or the parts do not fit together.
        """
        self._open(params)

    def _read(self, params: JoinedParams) -> Content:
        parts = [_opened(part, f"Joined.parts[{k}]") for k, part in enumerate(params.parts)]
        names = _labels(parts, params.labels)
        if self.transforms is None:
            self.transforms = _transforms(parts)
        self.metric = "VOC" if all(part.metric == "VOC" for part in parts) else "COCO"
        name = " + ".join(part.name for part in parts)
        records = PackedRecords(_records(parts, names))
        return Content(name, _categories(parts, names), records)


DATASETS: dict[str, type[DetectionDataset]] = {
    "CocoDetection": CocoDetection,
    "VOCDetection": VOCDetection,
    "EasyDataDet": EasyDataDet,
    "LabelMeDetection": LabelMeDetection,
    "YoloSegmentation": YoloSegmentation,
    "CvatDetection": CvatDetection,
    "LabelStudioDetection": LabelStudioDetection,
    "Joined": Joined,
    "DrawnShapes": DrawnShapes,
}


def open_dataset(choice: DatasetChoice, transforms: Compose | None = None) -> DetectionDataset:
    """The data set that an experiment file names.

    Raises:
        DatasetError: with everything that is wrong with the data.
    """
    params = replace(choice.arguments, transforms=transforms)
    return from_checked(DATASETS[choice.type], params)


def join(parts: Sequence[DetectionDataset], **arguments: Any) -> Joined:
    """Data sets one after the other, with classes joined by name; arguments as `Joined`."""
    return Joined(parts, **arguments)


def _opened(part: Any, argument: str) -> DetectionDataset:
    if isinstance(part, DatasetChoice):  # of an experiment file
        return open_dataset(part)
    if not isinstance(part, Mapping):
        check_dataset(part, argument)
        return part
    arguments = dict(part)
    kind = arguments.pop("type", "CocoDetection")
    if kind not in DATASETS:
        raise ValueError(f"{argument}.type is {kind!r}; choose one of {', '.join(DATASETS)}")
    try:
        return DATASETS[kind](**arguments)
    except ConfigError as error:
        raise ValueError(f"{argument}: {error}") from error


def _labels(parts: list[DetectionDataset], given: Sequence[str] | None) -> list[str]:
    labels = list(dict.fromkeys(name for part in parts for name in part.labels))
    if given is None:
        return labels
    left_out = [name for name in labels if name not in given]
    if left_out or len(set(given)) < len(given):
        raise ValueError(
            f"Joined.labels is {list(given)!r}; each class of the parts once is needed, "
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
    by_name = {category["name"]: category for part in parts for category in part.categories}
    return [dict(by_name[name]) for name in names]


def _transforms(parts: list[DetectionDataset]) -> Compose | None:
    first = parts[0].transforms
    for part in parts[1:]:
        ours, theirs = (
            transforms and transforms.to_config() for transforms in (first, part.transforms)
        )
        if ours != theirs:
            raise ValueError(
                f"Joined: {parts[0].name} and {part.name} have different transforms; give "
                f"transforms, which are then those of all"
            )
    return first


def _records(parts: list[DetectionDataset], names: list[str]) -> Iterator[Record]:
    """All records, ids given anew where two parts use the same."""
    unique_images, unique_objects = _are_unique(parts)
    images = objects = 0
    for part in parts:
        classes = [names.index(name) for name in part.labels]
        for record in part.records:
            images += 1
            record["image_id"] = record["image_id"] if unique_images else images
            for annotation in record["annotations"]:
                objects += 1
                annotation["category_id"] = classes[annotation["category_id"]]
                annotation["id"] = annotation["id"] if unique_objects else objects
            yield record


def _are_unique(parts: list[DetectionDataset]) -> tuple[bool, bool]:
    """Whether image ids, and annotation ids, occur once in all parts together."""
    images: list[int] = []
    objects: list[int] = []
    for part in parts:
        for record in part.records:
            images.append(record["image_id"])
            objects += [annotation["id"] for annotation in record["annotations"]]
    return len(set(images)) == len(images), len(set(objects)) == len(objects)
