"""One record to model input, for training and for prediction.

Origin: Detectron2's `DatasetMapper`. Differences: the randomness of a sample depends on (seed,
epoch, index) alone, so that it is the same with any number of workers and after resuming; crowd
regions stay and are marked instead of dropped; polygons stay polygons and RLE stays exact, image
by image; images of any number of channels; large JPEG files are decoded at a smaller scale for
training; the size that `Padding` asks for travels along.
"""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from .images import as_image, read_image
from .reduced_reading import read_reduced
from .samples import planes, seeded, to_instances
from .transforms.compose import Compose
from .transforms.operator import ImageContext
from .transforms.resize import Padding
from .transforms.sample import Sample

Record = Mapping[str, Any]


class TrainMapper:
    """Record to augmented image and training targets."""

    def __init__(
        self,
        transforms: Compose,
        image_format: str,
        num_channels: int,
        seed: int,
        *,
        labels: Sequence[str] | None = None,
        reads_reduced: bool = True,
    ) -> None:
        """Keep what does not change between samples.

        Args:
            image_format: 'RGB' or 'BGR', what the model wants.
            seed: of all random operators.
            labels: names of the classes, for operators that name some.
            reads_reduced: decode JPEG files at a smaller scale when the operators shrink the image
                to one half or less.

        Raises:
            ValueError: if an operator cannot work on such images or with these classes.
        """
        self.operators = transforms.augmentations.augs
        self.setting = transforms.context(image_format, num_channels, labels)
        self.padding = transforms.padding
        self.seed = seed
        self.reads_reduced = reads_reduced and num_channels == 3

    def __call__(
        self, record: Record, epoch: int, index: int, records: Sequence[Record] | None = None
    ) -> dict[str, Any]:
        """Read, augment and pack one image.

        Args:
            records: those of the data set, for operators that mix several images.

        Returns:
            Detectron2's model input: image uint8 or float32 (C, H, W), the original height and
            width, image_id, file_name, instances (gt_boxes XYXY, gt_classes, gt_masks, gt_crowd if
            there are crowd regions), pad_to (height, width) if the pipeline pads.

        Raises:
            ValueError: if the image cannot be read or is not of the recorded size.
        """
        with seeded(self.seed, epoch, index):
            scene = self._scene(record, len(self.operators), records)
        sample = _packed(scene.image, record, self.padding)
        sample["height"], sample["width"] = record["height"], record["width"]
        sample["instances"] = to_instances(scene.annotations(), scene.size)
        return sample

    def _scene(self, record: Record, stop: int, records: Sequence[Record] | None) -> Sample:
        """A record gone through the first operators, as many as `stop` says."""
        scene = self._open(record)
        for place, operator in enumerate(self.operators[:stop]):
            scene.draw_another = partial(self._any_scene, place, records) if records else None
            operator(scene)
        return scene

    def _any_scene(self, stop: int, records: Sequence[Record]) -> Sample:
        return self._scene(records[np.random.randint(len(records))], stop, records)

    def _open(self, record: Record) -> Sample:
        """A record as it is in its file, or smaller."""
        if self.reads_reduced:
            reduced = read_reduced(record, self.operators, self.setting.image_format)
            if reduced is not None:
                scene = Sample(reduced[0], self.setting, record["annotations"])
                scene.note(reduced[1])
                return scene
        image = _read_checked(record, self.setting)
        return Sample(image, self.setting, record["annotations"])


class TestMapper:
    """Record, file or array to model input, without anything random."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    def __init__(self, transforms: Compose, image_format: str, num_channels: int) -> None:
        """Keep what does not change between images.

        Raises:
            ValueError: if an operator cannot work on such images.
        """
        pipeline = transforms.deterministic()
        self.operators = pipeline.augmentations.augs
        self.setting = pipeline.context(image_format, num_channels)
        self.padding = pipeline.padding

    def pixels(self, image: str | os.PathLike[str] | np.ndarray) -> np.ndarray:
        """(H, W, C) of a file, or of an array as OpenCV gives it, in the order the model takes.

        Raises:
            ValueError: if it cannot be read or has another number of channels.
        """
        kind = self.setting.image_format, self.setting.num_channels
        if isinstance(image, str | os.PathLike):
            return read_image(image, *kind, keep_values=self.setting.keeps_values)
        return as_image(image, *kind, self.setting.keeps_values)

    def __call__(self, source: Record | str | os.PathLike[str] | np.ndarray) -> dict[str, Any]:
        """Read, resize and pack one image.

        Args:
            source: a dataset's record, an image file, or pixels as `read_image` and `as_image`
                give them: HWC, colours and number of channels as the model wants them.

        Returns:
            as `TrainMapper`, without instances; height and width are those of the original.

        Raises:
            ValueError: if the image cannot be read or is not of the recorded size.
        """
        channels = self.setting.num_channels
        if isinstance(source, np.ndarray):
            record: Record = {}
            image = source
            assert image.shape[2:] == (channels,), image.shape
        else:
            record = source if isinstance(source, Mapping) else {"file_name": os.fspath(source)}
            image = _read_checked(record, self.setting)
        height, width = image.shape[:2]
        scene = Sample(image, self.setting)
        for operator in self.operators:
            operator(scene)
        return {**_packed(scene.image, record, self.padding), "height": height, "width": width}


def _read_checked(record: Record, setting: ImageContext) -> np.ndarray:
    recorded = (record["height"], record["width"]) if "height" in record else None
    kind = setting.image_format, setting.num_channels
    image = read_image(record["file_name"], *kind, recorded, setting.keeps_values)
    if recorded is not None and image.shape[:2] != recorded:
        raise ValueError(
            f"image {record['file_name']!r} is {image.shape[1]}x{image.shape[0]} (width x height), "
            f"but its annotations say {recorded[1]}x{recorded[0]}: was the file changed?"
        )
    return image


def _packed(image: np.ndarray, record: Record, padding: Padding | None) -> dict[str, Any]:
    sample = {
        "image": planes(image),
        "image_id": record.get("image_id"),
        "file_name": record.get("file_name"),
    }
    if padding is not None:
        sample["pad_to"] = padding.padded_size(*image.shape[:2])
    return sample
