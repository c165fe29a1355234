"""One record to model input, for training and for prediction.

Origin: Detectron2's `DatasetMapper`. Differences: the randomness of a sample depends on (seed,
epoch, index) alone, so that it is the same with any number of workers and after resuming; crowd
regions are kept and marked instead of dropped; polygons stay polygons and RLE stays exact, image
by image; images of any number of channels; the size that `Padding` asks for travels along.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from detectron2.data import transforms as d2
from fvcore.transforms.transform import TransformList

from .images import read_image
from .random_state import seeded
from .targets import to_instances
from .transforms.compose import Compose


class TrainMapper:
    """Record to augmented image and training targets."""

    def __init__(
        self, transforms: Compose, image_format: str, num_channels: int, seed: int
    ) -> None:
        """Keep what does not change between samples.

        Args:
            image_format: 'RGB' or 'BGR', what the model wants.
            seed: of all random operators.
        """
        self.augmentations = transforms.augmentations
        self.padding = transforms.padding
        self.image_format = image_format
        self.num_channels = num_channels
        self.seed = seed

    def __call__(self, record: Mapping[str, Any], epoch: int, index: int) -> dict[str, Any]:
        """Read, augment and pack one image.

        Returns:
            Detectron2's model input: image uint8 or float32 (C, H, W), the original height and
            width, image_id, file_name, instances (gt_boxes XYXY, gt_classes, gt_masks, gt_crowd if
            there are crowd regions), pad_to (height, width) if the pipeline pads.

        Raises:
            ValueError: if the image cannot be read or is not of the recorded size.
        """
        image = _read_checked(record, self.image_format, self.num_channels)
        with seeded(self.seed, epoch, index):
            image, applied = _augment(self.augmentations, image)
        sample = _sample(image, record, self.padding)
        sample["height"], sample["width"] = record["height"], record["width"]
        sample["instances"] = to_instances(record["annotations"], applied, image.shape[:2])
        return sample


class TestMapper:
    """Record, file or array to model input, without anything random."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    def __init__(self, transforms: Compose, image_format: str, num_channels: int) -> None:
        """Keep what does not change between images."""
        pipeline = transforms.deterministic()
        self.augmentations = pipeline.augmentations
        self.padding = pipeline.padding
        self.image_format = image_format
        self.num_channels = num_channels

    def __call__(
        self, source: Mapping[str, Any] | str | os.PathLike[str] | np.ndarray
    ) -> dict[str, Any]:
        """Read, resize and pack one image.

        Args:
            source: a dataset's record, an image file, or pixels as `read_image` and `as_image`
                give them: HWC, colours and number of channels as the model wants them.

        Returns:
            as `TrainMapper`, without instances; height and width are those of the original.

        Raises:
            ValueError: if the image cannot be read or is not of the recorded size.
        """
        if isinstance(source, np.ndarray):
            record: Mapping[str, Any] = {}
            image = source
            assert image.shape[2:] == (self.num_channels,), image.shape
        else:
            record = source if isinstance(source, Mapping) else {"file_name": os.fspath(source)}
            image = _read_checked(record, self.image_format, self.num_channels)
        height, width = image.shape[:2]
        image, _ = _augment(self.augmentations, image)
        return {**_sample(image, record, self.padding), "height": height, "width": width}


def _read_checked(record: Mapping[str, Any], image_format: str, num_channels: int) -> np.ndarray:
    image = read_image(record["file_name"], image_format, num_channels)
    expected = record.get("height", image.shape[0]), record.get("width", image.shape[1])
    if image.shape[:2] != expected:
        raise ValueError(
            f"image {record['file_name']!r} is {image.shape[1]}x{image.shape[0]} (width x height), "
            f"but its annotations say {expected[1]}x{expected[0]}: was the file changed?"
        )
    return image


def _augment(
    augmentations: d2.AugmentationList, image: np.ndarray
) -> tuple[np.ndarray, TransformList]:
    carrier = d2.AugInput(image)
    applied = augmentations(carrier)
    return carrier.image, applied


def _sample(image: np.ndarray, record: Mapping[str, Any], padding: Any) -> dict[str, Any]:
    sample = {
        "image": torch.as_tensor(np.ascontiguousarray(image.transpose(2, 0, 1))),
        "image_id": record.get("image_id"),
        "file_name": record.get("file_name"),
    }
    if padding is not None:
        sample["pad_to"] = padding.padded_size(*image.shape[:2])
    return sample
