"""Rows of the image operators: arguments of the operators and keys of YAML's `data.transforms`."""

from dataclasses import dataclass

from .rows import REQUIRED, row


@dataclass(kw_only=True)
class RandomHorizontalFlipParams:
    """Mirror image and annotations."""

    prob: float = row(0.5, "Share of the images that are mirrored.", at_least=0, at_most=1)


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
class PaddingParams:
    """Zeros at the right and at the bottom."""

    coarsest_stride: int = row(1, "Pad to a multiple of this many pixels.", at_least=1)
    target_size: int | list[int] | None = row(None, "Pad to this size instead, pixels: a side or [width, height].", at_least=1)  # fmt: skip


@dataclass(kw_only=True)
class ComposedRCNNTransformsParams:
    """The usual recipe: flip (training only), normalise, resize, pad to 32."""

    mode: str = row(REQUIRED, "train or eval.", values=("train", "eval"))
    min_max_size: list[int] = row([800, 1333], "Short side and longest long side, pixels.", at_least=1, length=2)  # fmt: skip
    mean: list[float] = row([0.485, 0.456, 0.406], "As in Normalize.")
    std: list[float] = row([0.229, 0.224, 0.225], "As in Normalize.", above=0)
    random_horizontal_flip: bool = row(True, "Mirror half of the training images.")


TRANSFORMS: dict[str, type] = {
    "ComposedRCNNTransforms": ComposedRCNNTransformsParams,
    "RandomHorizontalFlip": RandomHorizontalFlipParams,
    "Normalize": NormalizeParams,
    "ResizeByShort": ResizeByShortParams,
    "Padding": PaddingParams,
}
