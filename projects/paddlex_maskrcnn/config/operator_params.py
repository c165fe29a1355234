"""Parameters of the image operators: arguments of the operators and keys of YAML's `data.transforms`.

Rules between the arguments of an operator are its method `broken_rules`, which yields (name, message).
Defaults of `float` parameters are written as floats: they go into model.yml as they are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .params import REQUIRED, param

_LARGEST_BYTE = 255
IMAGENET_MEAN_PIXEL = (123.675, 116.28, 103.53)  # of ImageNet's photographs, RGB


@dataclass(kw_only=True)
class RandomHorizontalFlipParams:
    """Mirror image and annotations."""

    prob: float = param(0.5, "Share of the images that are mirrored.", at_least=0, at_most=1)
    swap_labels: list[list[str]] | None = param(None, "Class names that a mirror turns into each other, in pairs: [[left_shoe, right_shoe], ...].", nonempty=True, extra=True)  # fmt: skip

    def broken_rules(self) -> Iterator[tuple[str, str]]:
        yield from _bad_pairs(self.swap_labels)


@dataclass(kw_only=True)
class NormalizeParams:
    """Pixel statistics; applied by the network on its device."""

    mean: list[float] = param([0.485, 0.456, 0.406], "Mean per channel, of values scaled to 0..1, RGB.", nonempty=True)  # fmt: skip
    std: list[float] = param([0.229, 0.224, 0.225], "Standard deviation per channel.", above=0, nonempty=True)  # fmt: skip
    min_val: list[float] = param([0.0, 0.0, 0.0], "Pixel value that becomes 0.", nonempty=True)
    max_val: list[float] = param([255.0, 255.0, 255.0], "Pixel value that becomes 1.", nonempty=True)  # fmt: skip

    def limits(self) -> tuple[list[float], list[float]]:
        """min_val and max_val; left at their defaults, they fit any number of channels."""
        low, high = (
            [values[0]] * len(self.mean) if values == [default] * 3 else values
            for values, default in ((self.min_val, 0.0), (self.max_val, 255.0))
        )
        return low, high

    @property
    def declares_range(self) -> bool:
        """Whether pixels have another range than 8 bits, so that deeper ones must keep their values.

        Another white point of 8 bits is none: 16 bits are still scaled for it.
        """
        low, high = self.limits()
        return not _LARGEST_BYTE / 2 < max(high) <= _LARGEST_BYTE or min(low) < 0

    def broken_rules(self) -> Iterator[tuple[str, str]]:
        low, high = self.limits()
        lengths = [*_other_length(self.mean, std=self.std, min_val=low, max_val=high)]
        yield from lengths
        if not lengths and any(b <= a for a, b in zip(low, high, strict=True)):
            yield "max_val", f"is {high}; allowed: numbers above those of min_val, {low}"


@dataclass(kw_only=True)
class ResizeByShortParams:
    """Resize so that the short side has a given length."""

    short_size: int | list[int] = param(800, "Short side, pixels; of a list one is drawn per image.", at_least=1, nonempty=True, auto=True)  # fmt: skip
    max_size: int = param(1333, "Longest the long side may become, pixels; 0 or less: no limit.")


@dataclass(kw_only=True)
class ResizeParams:
    """Resize to a fixed size, whatever the shape."""

    target_size: int | list[int] = param(608, "Side, or [width, height], pixels.", at_least=1, entries=("width", "height"))  # fmt: skip
    interp: str = param("LINEAR", "Interpolation by OpenCV's name; RANDOM draws one per image.", values=("NEAREST", "LINEAR", "CUBIC", "AREA", "LANCZOS4", "RANDOM"))  # fmt: skip


@dataclass(kw_only=True)
class PaddingParams:
    """Zeros at the right and at the bottom."""

    coarsest_stride: int = param(1, "Pad to a multiple of this many pixels.", at_least=1)
    target_size: int | list[int] | None = param(None, "Pad to this size instead, pixels: a side or [width, height].", at_least=1, entries=("width", "height"))  # fmt: skip


@dataclass(kw_only=True)
class RandomDistortParams:
    """Brightness, contrast, saturation and hue, each in some of the images, in random order."""

    brightness_range: float = param(0.5, "r of the factor 1 - r to 1 + r.", at_least=0, at_most=1)
    brightness_prob: float = param(0.5, "Share of the images whose brightness changes.", at_least=0, at_most=1)  # fmt: skip
    contrast_range: float = param(0.5, "As brightness_range, of the distance to the image's mean.", at_least=0, at_most=1)  # fmt: skip
    contrast_prob: float = param(0.5, "As brightness_prob.", at_least=0, at_most=1)
    saturation_range: float = param(0.5, "As brightness_range, of the distance to grey.", at_least=0, at_most=1)  # fmt: skip
    saturation_prob: float = param(0.5, "As brightness_prob.", at_least=0, at_most=1)
    hue_range: float = param(18.0, "Most that hue is turned, degrees.", at_least=0)
    hue_prob: float = param(0.5, "As brightness_prob.", at_least=0, at_most=1)


@dataclass(kw_only=True)
class RandomExpandParams:
    """Put the image somewhere on a larger area of one colour; before resizing. Images without objects stay."""

    ratio: float = param(4.0, "Largest side of that area, in sides of the image.", at_least=1)
    prob: float = param(0.5, "Share of the images that are expanded.", at_least=0, at_most=1)
    fill_value: list[float] = param([*IMAGENET_MEAN_PIXEL], "Colour around the image, RGB pixel values; left as it is, it fits any number of channels and any depth.", nonempty=True)  # fmt: skip


@dataclass(kw_only=True)
class RandomCropParams:
    """Cut out a part that shows enough of an object; before resizing. Images without objects stay."""

    aspect_ratio: list[float] = param([0.5, 2.0], "Lowest and highest width / height of the part, relative to the image's; 1 is between them.", at_least=0.01, at_most=100, entries=("lowest", "highest"), ordered=True)  # fmt: skip
    thresholds: list[float] = param([0.0, 0.1, 0.3, 0.5, 0.7, 0.9], "IoU that a box must reach with the part; tried in random order.", at_least=0, at_most=1, nonempty=True)  # fmt: skip
    scaling: list[float] = param([0.3, 1.0], "Smallest and largest side of the part, in sides of the image.", at_least=0.01, at_most=1, entries=("lowest", "highest"), ordered=True)  # fmt: skip
    num_attempts: int = param(50, "Parts drawn for each threshold.", at_least=1)
    allow_no_crop: bool = param(True, "The whole image is one of the choices.")
    cover_all_box: bool = param(False, "All boxes must reach the threshold, instead of one.")

    def broken_rules(self) -> Iterator[tuple[str, str]]:
        if not self.aspect_ratio[0] <= 1 <= self.aspect_ratio[1]:
            yield (
                "aspect_ratio",
                f"is {self.aspect_ratio}; allowed: [lowest, highest] with 1 between them",
            )


@dataclass(kw_only=True)
class CLAHEParams:
    """Local contrast (adaptive histogram equalisation), in training and in prediction."""

    clip_limit: float = param(2.0, "How much contrast may grow.", at_least=0.01)
    tile_grid_size: list[int] = param(
        [8, 8], "Columns and rows of tiles.", at_least=1, entries=("columns", "rows")
    )


@dataclass(kw_only=True)
class ComposedRCNNTransformsParams:
    """The usual recipe: flip (training only), normalise, resize, pad to 32."""

    mode: str = param(REQUIRED, "train or eval; test is the same as eval.", values=("train", "eval", "test"))  # fmt: skip
    min_max_size: list[int] = param([800, 1333], "As short_size and max_size in ResizeByShort.", entries=("short_size", "max_size"))  # fmt: skip
    mean: list[float] = param([0.485, 0.456, 0.406], "As in Normalize.", nonempty=True)
    std: list[float] = param([0.229, 0.224, 0.225], "As in Normalize.", above=0, nonempty=True)
    random_horizontal_flip: bool = param(True, "Mirror half of the training images.")

    def broken_rules(self) -> Iterator[tuple[str, str]]:
        if self.min_max_size[0] < 1:
            yield "min_max_size", f"is {self.min_max_size}; allowed: a short_size >= 1"
        yield from _other_length(self.mean, std=self.std)


@dataclass(kw_only=True)
class LargeScaleJitterParams:
    """Resize by a random factor, then cut or fill up to a fixed size; instead of ResizeByShort."""

    target_size: int | list[int] = param(1024, "Side, or [width, height], pixels.", at_least=1, entries=("width", "height"), extra=True)  # fmt: skip
    min_scale: float = param(0.1, "Smallest factor; at 1 the image just fits.", at_least=0.01, extra=True)  # fmt: skip
    max_scale: float = param(2.0, "Largest factor.", at_least=0.01, extra=True)
    fill_value: list[float] | None = param(None, "Colour around the image, RGB pixel values; null: the mean of Normalize.", nonempty=True, extra=True)  # fmt: skip

    def broken_rules(self) -> Iterator[tuple[str, str]]:
        if self.max_scale < self.min_scale:
            yield (
                "max_scale",
                f"is {self.max_scale}; allowed: at least min_scale, {self.min_scale}",
            )


@dataclass(kw_only=True)
class CopyPasteParams:
    """Lay objects of another training image over this one, along their masks."""

    prob: float = param(0.5, "Share of the images that get objects.", at_least=0, at_most=1, extra=True)  # fmt: skip
    max_objects: int = param(100, "Most objects that are pasted; a random number is.", at_least=1, extra=True)  # fmt: skip
    min_visible: float = param(0.0, "Covered objects of which less than this share is left are dropped; 0: those with nothing left.", at_least=0, at_most=1, extra=True)  # fmt: skip


@dataclass(kw_only=True)
class RandomVerticalFlipParams:
    """Turn image and annotations upside down."""

    prob: float = param(0.5, "Share of the images that are mirrored.", at_least=0, at_most=1, extra=True)  # fmt: skip
    swap_labels: list[list[str]] | None = param(None, "Class names that the mirror turns into each other, in pairs: [[up, down], ...].", nonempty=True, extra=True)  # fmt: skip

    def broken_rules(self) -> Iterator[tuple[str, str]]:
        yield from _bad_pairs(self.swap_labels)


@dataclass(kw_only=True)
class RandomRotate90Params:
    """Turn by quarters of a circle."""

    prob: float = param(0.5, "Share of the images that are turned.", at_least=0, at_most=1, extra=True)  # fmt: skip
    turns: list[int] = param([1, 2, 3], "Quarters, counter-clockwise, of which one number is drawn.", at_least=1, at_most=3, nonempty=True, extra=True)  # fmt: skip


@dataclass(kw_only=True)
class RandomRotationParams:
    """Turn about the centre by a random angle."""

    angle: float | list[float] = param(10.0, "Degrees, counter-clockwise: [lowest, highest], or one number for both directions.", at_least=-180, at_most=180, entries=("lowest", "highest"), ordered=True, extra=True)  # fmt: skip
    prob: float = param(0.5, "Share of the images that are turned.", at_least=0, at_most=1, extra=True)  # fmt: skip
    expand: bool = param(False, "Enlarge the image to what was turned, instead of cutting its corners.", extra=True)  # fmt: skip
    fill_value: list[float] | None = param(None, "Colour around the image, RGB pixel values; null: the mean of Normalize.", nonempty=True, extra=True)  # fmt: skip


@dataclass(kw_only=True)
class ColorJitterParams:
    """Brightness, contrast, saturation and hue together, as torchvision has it."""

    brightness: float = param(0.4, "b of the factor max(0, 1 - b) to 1 + b.", at_least=0, extra=True)  # fmt: skip
    contrast: float = param(0.4, "As brightness.", at_least=0, extra=True)
    saturation: float = param(0.4, "As brightness.", at_least=0, extra=True)
    hue: float = param(0.1, "Most that hue is turned, in circles.", at_least=0, at_most=0.5, extra=True)  # fmt: skip
    prob: float = param(0.5, "Share of the images that are changed.", at_least=0, at_most=1, extra=True)  # fmt: skip


@dataclass(kw_only=True)
class RandomBlurParams:
    """Gaussian blur."""

    prob: float = param(0.1, "Share of the images that are blurred.", at_least=0, at_most=1, extra=True)  # fmt: skip
    sigma: list[float] = param([0.1, 2.0], "Lowest and highest standard deviation, pixels.", at_least=0.01, entries=("lowest", "highest"), ordered=True, extra=True)  # fmt: skip


@dataclass(kw_only=True)
class RandomNoiseParams:
    """Gaussian noise."""

    prob: float = param(0.1, "Share of the images that get noise.", at_least=0, at_most=1, extra=True)  # fmt: skip
    std: list[float] = param([0.01, 0.05], "Lowest and highest standard deviation, as a share of black to white.", at_least=0, at_most=1, entries=("lowest", "highest"), ordered=True, extra=True)  # fmt: skip


TRANSFORMS: dict[str, type] = {
    "ComposedRCNNTransforms": ComposedRCNNTransformsParams,
    "RandomHorizontalFlip": RandomHorizontalFlipParams,
    "Normalize": NormalizeParams,
    "ResizeByShort": ResizeByShortParams,
    "Resize": ResizeParams,
    "Padding": PaddingParams,
    "RandomDistort": RandomDistortParams,
    "RandomExpand": RandomExpandParams,
    "RandomCrop": RandomCropParams,
    "CLAHE": CLAHEParams,
    "LargeScaleJitter": LargeScaleJitterParams,
    "CopyPaste": CopyPasteParams,
    "RandomVerticalFlip": RandomVerticalFlipParams,
    "RandomRotate90": RandomRotate90Params,
    "RandomRotation": RandomRotationParams,
    "ColorJitter": ColorJitterParams,
    "RandomBlur": RandomBlurParams,
    "RandomNoise": RandomNoiseParams,
}


@dataclass(kw_only=True)
class OperatorChoice:
    """An operator of an experiment file: its name (a key of TRANSFORMS) and its arguments.

    Attributes:
        arguments: checked, of the class that TRANSFORMS has for it.
        given: as the user wrote them, for the record of a run.
    """

    name: str
    arguments: Any
    given: dict[str, Any]

    def as_written(self) -> dict[str, dict[str, Any]]:
        """The entry of the experiment file, {name: arguments}."""
        return {self.name: self.given}


def recipe(mode: str) -> OperatorChoice:
    """The usual operators, which an experiment file gets that lists none; mode is train or eval."""
    name = "ComposedRCNNTransforms"
    arguments = ComposedRCNNTransformsParams(mode=mode)
    return OperatorChoice(name=name, arguments=arguments, given={"mode": mode})


def _other_length(mean: Sequence[float], **others: Sequence[float]) -> Iterator[tuple[str, str]]:
    """What has another number of channels than mean."""
    for name, values in others.items():
        if len(values) != len(mean):
            yield name, f"is {values}; allowed: as many entries as mean has, {len(mean)}"


def _bad_pairs(pairs: list[list[str]] | None) -> Iterator[tuple[str, str]]:
    names = [name for pair in pairs or [] for name in pair]
    if any(len(pair) != 2 for pair in pairs or []) or len(set(names)) != len(names):
        example = [["left_shoe", "right_shoe"]]
        yield (
            "swap_labels",
            f"is {pairs}; allowed: pairs of class names, each name once, such as {example}",
        )
