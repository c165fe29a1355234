"""Rows of the image operators: arguments of the operators and keys of YAML's `data.transforms`."""

from dataclasses import dataclass

from .rows import REQUIRED, row


@dataclass(kw_only=True)
class RandomHorizontalFlipParams:
    """Mirror image and annotations."""

    prob: float = row(0.5, "Share of the images that are mirrored.", at_least=0, at_most=1)
    swap_labels: list[list[str]] | None = row(None, "Class names that a mirror turns into each other, in pairs: [[left_shoe, right_shoe], ...].", extra=True)  # fmt: skip


@dataclass(kw_only=True)
class NormalizeParams:
    """Pixel statistics; applied by the network on its device."""

    mean: list[float] = row([0.485, 0.456, 0.406], "Mean per channel, of values scaled to 0..1, RGB.")  # fmt: skip
    std: list[float] = row([0.229, 0.224, 0.225], "Standard deviation per channel.", above=0)
    min_val: list[float] = row([0, 0, 0], "Pixel value that becomes 0.")
    max_val: list[float] = row([255, 255, 255], "Pixel value that becomes 1.")


@dataclass(kw_only=True)
class ResizeByShortParams:
    """Resize so that the short side has a given length."""

    short_size: int | list[int] = row(800, "Short side, pixels; of a list one is drawn per image.", at_least=1)  # fmt: skip
    max_size: int = row(1333, "Longest the long side may become, pixels; 0 or less: no limit.")


@dataclass(kw_only=True)
class ResizeParams:
    """Resize to a fixed size, whatever the shape."""

    target_size: int | list[int] = row(608, "Side, or [width, height], pixels.", at_least=1)
    interp: str = row("LINEAR", "Interpolation by OpenCV's name; RANDOM draws one per image.", values=("NEAREST", "LINEAR", "CUBIC", "AREA", "LANCZOS4", "RANDOM"))  # fmt: skip


@dataclass(kw_only=True)
class PaddingParams:
    """Zeros at the right and at the bottom."""

    coarsest_stride: int = row(1, "Pad to a multiple of this many pixels.", at_least=1)
    target_size: int | list[int] | None = row(None, "Pad to this size instead, pixels: a side or [width, height].", at_least=1)  # fmt: skip


@dataclass(kw_only=True)
class RandomDistortParams:
    """Brightness, contrast, saturation and hue, each in some of the images, in random order."""

    brightness_range: float = row(0.5, "r of the factor 1 - r to 1 + r.", at_least=0, at_most=1)
    brightness_prob: float = row(0.5, "Share of the images whose brightness changes.", at_least=0, at_most=1)  # fmt: skip
    contrast_range: float = row(0.5, "As brightness_range, of the distance to the image's mean.", at_least=0, at_most=1)  # fmt: skip
    contrast_prob: float = row(0.5, "As brightness_prob.", at_least=0, at_most=1)
    saturation_range: float = row(0.5, "As brightness_range, of the distance to grey.", at_least=0, at_most=1)  # fmt: skip
    saturation_prob: float = row(0.5, "As brightness_prob.", at_least=0, at_most=1)
    hue_range: float = row(18, "Most that hue is turned, degrees.", at_least=0)
    hue_prob: float = row(0.5, "As brightness_prob.", at_least=0, at_most=1)


@dataclass(kw_only=True)
class RandomExpandParams:
    """Put the image somewhere on a larger ground; before resizing. Images without objects stay."""

    ratio: float = row(4.0, "Largest side of the ground, in sides of the image.", at_least=1)
    prob: float = row(0.5, "Share of the images that are expanded.", at_least=0, at_most=1)
    fill_value: list[float] = row([123.675, 116.28, 103.53], "Colour of the ground, RGB pixel values.")  # fmt: skip


@dataclass(kw_only=True)
class RandomCropParams:
    """Cut out a part that shows enough of an object; before resizing. Images without objects stay."""

    aspect_ratio: list[float] = row([0.5, 2.0], "Lowest and highest width / height of the part, relative to the image's; 1 is between them.", at_least=0.01, at_most=100, length=2)  # fmt: skip
    thresholds: list[float] = row([0.0, 0.1, 0.3, 0.5, 0.7, 0.9], "IoU that a box must reach with the part; tried in random order.", at_least=0, at_most=1)  # fmt: skip
    scaling: list[float] = row([0.3, 1.0], "Smallest and largest side of the part, in sides of the image.", at_least=0.01, at_most=1, length=2)  # fmt: skip
    num_attempts: int = row(50, "Parts drawn for each threshold.", at_least=1)
    allow_no_crop: bool = row(True, "The whole image is one of the choices.")
    cover_all_box: bool = row(False, "All boxes must reach the threshold, instead of one.")


@dataclass(kw_only=True)
class CLAHEParams:
    """Local contrast (adaptive histogram equalisation), in training and in prediction."""

    clip_limit: float = row(2.0, "How much contrast may grow.", at_least=0.01)
    tile_grid_size: list[int] = row([8, 8], "Columns and rows of tiles.", at_least=1, length=2)


@dataclass(kw_only=True)
class ComposedRCNNTransformsParams:
    """The usual recipe: flip (training only), normalise, resize, pad to 32."""

    mode: str = row(REQUIRED, "train or eval.", values=("train", "eval"))
    min_max_size: list[int] = row([800, 1333], "Short side and longest long side, pixels.", at_least=1, length=2)  # fmt: skip
    mean: list[float] = row([0.485, 0.456, 0.406], "As in Normalize.")
    std: list[float] = row([0.229, 0.224, 0.225], "As in Normalize.", above=0)
    random_horizontal_flip: bool = row(True, "Mirror half of the training images.")


@dataclass(kw_only=True)
class LargeScaleJitterParams:
    """Resize by a random factor, then cut or fill up to a fixed size; instead of ResizeByShort."""

    target_size: int | list[int] = row(1024, "Side, or [width, height], pixels.", at_least=1, extra=True)  # fmt: skip
    min_scale: float = row(0.1, "Smallest factor; at 1 the image just fits.", at_least=0.01, extra=True)  # fmt: skip
    max_scale: float = row(2.0, "Largest factor.", at_least=0.01, extra=True)
    fill_value: list[float] | None = row(None, "Colour of the ground, RGB pixel values; null: the mean of Normalize.", extra=True)  # fmt: skip


@dataclass(kw_only=True)
class CopyPasteParams:
    """Lay objects of another training image over this one, along their masks."""

    prob: float = row(0.5, "Share of the images that get objects.", at_least=0, at_most=1, extra=True)  # fmt: skip
    max_objects: int = row(100, "Most objects that are pasted; a random number is.", at_least=1, extra=True)  # fmt: skip
    min_visible: float = row(0.0, "Covered objects of which less than this share is left are dropped; 0: those with nothing left.", at_least=0, at_most=1, extra=True)  # fmt: skip


@dataclass(kw_only=True)
class RandomVerticalFlipParams:
    """Turn image and annotations upside down."""

    prob: float = row(0.5, "Share of the images that are mirrored.", at_least=0, at_most=1, extra=True)  # fmt: skip
    swap_labels: list[list[str]] | None = row(None, "Class names that the mirror turns into each other, in pairs: [[up, down], ...].", extra=True)  # fmt: skip


@dataclass(kw_only=True)
class RandomRotate90Params:
    """Turn by quarters of a circle."""

    prob: float = row(0.5, "Share of the images that are turned.", at_least=0, at_most=1, extra=True)  # fmt: skip
    turns: list[int] = row([1, 2, 3], "Quarters, counter-clockwise, of which one number is drawn.", at_least=1, at_most=3, extra=True)  # fmt: skip


@dataclass(kw_only=True)
class RandomRotationParams:
    """Turn about the centre by a random angle."""

    angle: float | list[float] = row(10.0, "Degrees, counter-clockwise: [lowest, highest], or one number for both directions.", at_least=-180, at_most=180, extra=True)  # fmt: skip
    prob: float = row(0.5, "Share of the images that are turned.", at_least=0, at_most=1, extra=True)  # fmt: skip
    expand: bool = row(False, "Enlarge the image to what was turned, instead of cutting its corners.", extra=True)  # fmt: skip
    fill_value: list[float] | None = row(None, "Colour of the ground, RGB pixel values; null: the mean of Normalize.", extra=True)  # fmt: skip


@dataclass(kw_only=True)
class ColorJitterParams:
    """Brightness, contrast, saturation and hue together, as torchvision has it."""

    brightness: float = row(0.4, "b of the factor max(0, 1 - b) to 1 + b.", at_least=0, extra=True)
    contrast: float = row(0.4, "As brightness.", at_least=0, extra=True)
    saturation: float = row(0.4, "As brightness.", at_least=0, extra=True)
    hue: float = row(0.1, "Most that hue is turned, in circles.", at_least=0, at_most=0.5, extra=True)  # fmt: skip
    prob: float = row(0.5, "Share of the images that are changed.", at_least=0, at_most=1, extra=True)  # fmt: skip


@dataclass(kw_only=True)
class RandomBlurParams:
    """Gaussian blur."""

    prob: float = row(0.1, "Share of the images that are blurred.", at_least=0, at_most=1, extra=True)  # fmt: skip
    sigma: list[float] = row([0.1, 2.0], "Lowest and highest standard deviation, pixels.", at_least=0.01, length=2, extra=True)  # fmt: skip


@dataclass(kw_only=True)
class RandomNoiseParams:
    """Gaussian noise."""

    prob: float = row(0.1, "Share of the images that get noise.", at_least=0, at_most=1, extra=True)
    std: list[float] = row([0.01, 0.05], "Lowest and highest standard deviation, as a share of black to white.", at_least=0, at_most=1, length=2, extra=True)  # fmt: skip


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
