"""One record to model input, for training and for prediction.

Origin: Detectron2's `DatasetMapper`. Differences: the randomness of a sample depends on (seed,
epoch, index) alone, so that it is the same with any number of workers and after resuming; crowd
regions stay and are marked instead of dropped; polygons stay polygons and RLE stays exact, image
by image; images of any number of channels; the size that `Padding` asks for travels along.
A large JPEG file is decoded at a half, a quarter or an eighth of its scale, in a fraction of the time
(libjpeg's scaled inverse DCT, through OpenCV), where the operators of training shrink the image to one
half or less anyway; the decoder then averages pixels instead of the resize. Each pixel of the smaller
picture stands for a whole square of the file's, so a point moves from x to x / factor exactly. Where the
size is no multiple of the factor, the last pixels reach over the border of the file; points still move by
the factor, not by the ratio of the rounded sizes. Evaluation and prediction always read in full.
"""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fvcore.transforms.transform import Transform

from .image_headers import decode, file_bytes, read_header, swaps_sides
from .images import pixel_fault, read_image, turned
from .inputs import input_pixels
from .samples import planes, seeded, to_instances
from .transforms.compose import Compose
from .transforms.operator import ImageContext, Operator
from .transforms.resize import Padding, picked
from .transforms.sample import Annotation, Sample

Record = Mapping[str, Any]
_FLAGS = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_JPEG = b"\xff\xd8\xff"
_TURNED_LEFT_TO_RIGHT, _TURNED_UPSIDE_DOWN = (2, 3, 6, 7), (3, 4, 7, 8)  # EXIF orientations


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
            sample = self._sample(record, len(self.operators), records)
        packed = _packed(sample.image, record, self.padding)
        packed["height"], packed["width"] = record["height"], record["width"]
        packed["instances"] = to_instances(sample.annotations(), sample.size)
        return packed

    def _sample(self, record: Record, stop: int, records: Sequence[Record] | None) -> Sample:
        """A record gone through the first operators, as many as `stop` says."""
        sample = self._open(record)
        for position, operator in enumerate(self.operators[:stop]):
            sample.draw_another = partial(self._any_sample, position, records) if records else None
            operator(sample)
        return sample

    def _any_sample(self, stop: int, records: Sequence[Record]) -> Sample:
        return self._sample(records[np.random.randint(len(records))], stop, records)

    def _open(self, record: Record) -> Sample:
        """A record as it is in its file, or smaller."""
        if self.reads_reduced:
            reduced = read_reduced(record, self.operators, self.setting.image_format)
            if reduced is not None:
                sample = Sample(reduced[0], self.setting, record["annotations"])
                sample.note(reduced[1])
                return sample
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

    def pixels(self, image: Any) -> np.ndarray:
        """(H, W, C) of what `input_pixels` takes, in the order of colours the model takes.

        Raises:
            ValueError: if it cannot be read, has another number of channels, or other values than
                Normalize expects.
        """
        setting = self.setting
        kind = setting.image_format, setting.num_channels, setting.keeps_values
        pixels = input_pixels(image, *kind)
        what = f"image {str(image)!r}" if isinstance(image, str | os.PathLike) else "the image"
        check_pixels(pixels, setting, what)
        return pixels

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
        sample = Sample(image, self.setting)
        for operator in self.operators:
            operator(sample)
        return {**_packed(sample.image, record, self.padding), "height": height, "width": width}


def _read_checked(record: Record, setting: ImageContext) -> np.ndarray:
    recorded = (record["height"], record["width"]) if "height" in record else None
    kind = setting.image_format, setting.num_channels
    as_stored = record.get("as_stored", False)
    image = read_image(record["file_name"], *kind, recorded, setting.keeps_values, as_stored)
    check_pixels(image, setting, f"image {record['file_name']!r}")
    if recorded is not None and image.shape[:2] != recorded:
        raise ValueError(
            f"image {record['file_name']!r} is {image.shape[1]}x{image.shape[0]} (width x height), "
            f"but its annotations say {recorded[1]}x{recorded[0]}: was the file changed?"
        )
    return image


def check_pixels(image: np.ndarray, setting: ImageContext, what: str) -> None:
    """Raise ValueError where an image's values are not what Normalize expects.

    Args:
        image: as `read_image` and `as_image` give it, or before its depth was changed.
        what: names it.
    """
    if setting.keeps_values and image.dtype == np.uint8 and max(setting.span) <= 1:
        raise ValueError(
            f"{what} has 8 bits, values of 0 to 255, but Normalize takes a range of {max(setting.span):g} "
            "(max_val - min_val): give it max_val 255, or pictures of floats"
        )
    fault = pixel_fault(image, setting.num_channels, setting.keeps_values)
    if fault:
        raise ValueError(f"{what} {fault}")


def _packed(image: np.ndarray, record: Record, padding: Padding | None) -> dict[str, Any]:
    sample = {
        "image": planes(image),
        "image_id": record.get("image_id"),
        "file_name": record.get("file_name"),
    }
    if padding is not None:
        sample["pad_to"] = padding.padded_size(*image.shape[:2])
    return sample


class Reduction(Transform):
    """Every square of pixels becomes a single pixel."""

    def __init__(
        self, factor: int, size: tuple[int, int], offset: tuple[int, int] = (0, 0)
    ) -> None:
        """Set up the squares.

        Args:
            factor: side of a square in pixels.
            size: (height, width) in pixels before.
            offset: (y, x), how far the first squares reach over the border, in pixels; the last
                ones do otherwise.
        """
        super().__init__()
        self.factor, self.size, self.offset = factor, size, offset

    @property
    def new_size(self) -> tuple[int, int]:
        """(height, width) in pixels after."""
        return -(-self.size[0] // self.factor), -(-self.size[1] // self.factor)

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """The mean of each square, with the border repeated outside; the decoder does it faster."""
        spare = [
            (before, new * self.factor - old - before)
            for old, new, before in zip(self.size, self.new_size, self.offset, strict=True)
        ]
        padded = np.pad(img, [*spare, (0, 0)], mode="edge").astype(np.float64)
        rows, columns = self.new_size
        squares = padded.reshape(rows, self.factor, columns, self.factor, -1)
        return np.round(squares.mean(axis=(1, 3))).astype(img.dtype)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Scale points by the factor alone."""
        return (coords + self.offset[::-1]) / self.factor

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """(H, W) by the pixel in the middle of each square."""
        return picked(segmentation, self._middles(0), self._middles(1))

    def _middles(self, axis: int) -> np.ndarray:
        middles = np.arange(self.new_size[axis]) * self.factor + self.factor // 2
        return np.clip(middles - self.offset[axis], 0, self.size[axis] - 1)

    def apply_annotation(self, annotation: Annotation) -> None:
        """Scale an object; its box stays around it."""
        annotation.move(self, keeps_tight=True)


def reduction_factor(operators: Sequence[Operator], height: int, width: int) -> int:
    """1, 2, 4 or 8: how much smaller an image may be read, so that no operator has to enlarge it.

    Args:
        height: of the image in the file, in pixels; width likewise.
    """
    size: tuple[int, int] | None = (height, width)
    for operator in operators:
        assert size is not None
        zoom = operator.largest_zoom(*size)
        if zoom is not None:
            return max([factor for factor in _FLAGS if factor * zoom <= 1], default=1)
        size = operator.smallest_size(*size)
        if size is None:
            break
    return 1  # nothing resizes, or something before it needs the pixels of the file


def read_reduced(
    record: Mapping[str, Any], operators: Sequence[Operator], image_format: str
) -> tuple[np.ndarray, Reduction] | None:
    """Read a large JPEG file smaller.

    Args:
        record: with file_name, height and width.
        operators: what is going to be done to the image.
        image_format: 'RGB' or 'BGR'.

    Returns:
        (H, W, 3) uint8 and what was done to it; None if the file has to be read in full, because it
        is small, no JPEG, or not what the record says (the full reader then says what is wrong).
    """
    size = record["height"], record["width"]
    factor = reduction_factor(operators, *size)
    path = Path(record["file_name"])
    if factor == 1 or path.suffix.lower() == ".npy":
        return None
    try:
        data, header = file_bytes(path), read_header(path)
    except (OSError, ValueError):
        return None
    if data[:3].tobytes() != _JPEG or not header.fits(size):
        return None
    orientation = header.orientation
    if record.get("as_stored") or (swaps_sides(orientation) and size != header.upright):
        orientation = 1  # the annotations were made for the pixels as they are stored
    image = decode(data, _FLAGS[factor] | cv2.IMREAD_IGNORE_ORIENTATION)
    reduction = Reduction(factor, size, _offset(orientation, size, factor))
    if image is None or turned(image, orientation).shape[:2] != reduction.new_size:
        return None
    if image_format == "RGB":
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(turned(image, orientation)), reduction


def _offset(orientation: int, size: tuple[int, int], factor: int) -> tuple[int, int]:
    """How far the first squares reach over the border: the spare part is at the end of the file."""
    height, width = size
    spare_y = -height % factor if orientation in _TURNED_UPSIDE_DOWN else 0
    spare_x = -width % factor if orientation in _TURNED_LEFT_TO_RIGHT else 0
    return spare_y, spare_x
