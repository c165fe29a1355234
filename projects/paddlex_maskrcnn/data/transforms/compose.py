"""The pipeline of operators, the table of their names, and the usual recipe.

Origin: PaddleX `Compose`. Differences: it only describes, datasets and models read it and never
change it, so one object may serve training and evaluation; and the order in which Normalize and
Padding stand among the rest does not matter, because the model carries them out.

`ComposedRCNNTransforms` is PaddleX's too. Difference: an unknown mode is an error; PaddleX took every
mode but 'train' for evaluation.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from detectron2.data import transforms as d2

from ...config.check import check_arguments, suggestion
from ...config.operator_params import TRANSFORMS as PARAMS
from ...config.operator_params import ComposedRCNNTransformsParams, OperatorChoice
from ...config.signature import from_checked, takes_params
from .albumentations import adapted
from .color import ColorJitter, Normalize, RandomDistort
from .crop import RandomCrop, RandomExpand
from .filters import CLAHE, RandomBlur, RandomNoise
from .flip import RandomHorizontalFlip, RandomVerticalFlip
from .operator import ImageContext, Operator
from .paste import CopyPaste, MixupImage
from .resize import LargeScaleJitter, Padding, Resize, ResizeByShort
from .rotate import RandomRotate90, RandomRotation

_STRIDE = 32  # the coarsest level of the pyramid has one cell for so many pixels


class Compose:
    """A list of operators, applied in order."""

    def __init__(self, transforms: Sequence[Any]) -> None:
        """Check and keep the operators; a pipeline of albumentations becomes one.

        Raises:
            ValueError: if the list is empty, holds something else than operators, or has
                Normalize or Padding twice.
        """
        if not isinstance(transforms, list | tuple) or not transforms:
            raise ValueError(
                f"Compose.transforms is {transforms!r}; a list of operators is needed, not empty"
            )
        self.transforms = _checked(list(transforms))

    @property
    def keeps_values(self) -> bool:
        """Whether deep pictures are to be read with their values, not as pixels of 0 to 255."""
        return self.normalize is not None and self.normalize.declares_range

    @property
    def normalize(self) -> Normalize | None:
        """The statistics that the model applies, if declared."""
        return next((t for t in self.transforms if isinstance(t, Normalize)), None)

    @property
    def padding(self) -> Padding | None:
        """The padding that the model applies, if declared."""
        return next((t for t in self.transforms if isinstance(t, Padding)), None)

    @property
    def augmentations(self) -> d2.AugmentationList:
        """The operators that change pixels or geometry, as Detectron2 augmentations."""
        return d2.AugmentationList([t for t in self.transforms if isinstance(t, d2.Augmentation)])

    def context(
        self, image_format: str, num_channels: int, labels: Sequence[str] | None = None
    ) -> ImageContext:
        """What the operators may know of a run, after each has said that it can work there.

        Args:
            image_format: 'RGB' or 'BGR', the order of the colours in memory.
            labels: names of the classes, where there are objects.

        Raises:
            ValueError: if an operator needs another number of channels or names a class that is
                not there.
        """
        normalize = self.normalize or Normalize()
        fits = len(normalize.mean) == num_channels
        low, high = normalize.min_val, normalize.max_val
        context = ImageContext(
            image_format,
            num_channels,
            None if labels is None else tuple(labels),
            tuple(normalize.pixel_mean) if fits else (0.0,) * num_channels,
            tuple(b - a for a, b in zip(low, high, strict=True))
            if fits
            else (255.0,) * num_channels,
            self.keeps_values,
        )
        for transform in self.transforms:
            transform.check(context)
        return context

    def deterministic(self) -> "Compose":
        """The pipeline for prediction: random operators left out, random choices fixed."""
        remaining = [t.deterministic() for t in self.transforms]
        return _possibly_empty([t for t in remaining if t is not None])

    def add_augmenters(self, augmenters: list[Operator]) -> None:
        """Put more operators in front.

        Raises:
            ValueError: if it is no list, or has an operator that the pipeline has already.
        """
        if not isinstance(augmenters, list):
            raise ValueError(f"augmenters is {augmenters!r}; a list of operators is needed")
        present = {type(t) for t in self.transforms}
        twice = [type(t).__name__ for t in augmenters if type(t) in present]
        if twice:
            raise ValueError(f"add_augmenters: already in the pipeline: {', '.join(twice)}")
        self.transforms = _checked(augmenters + self.transforms)

    def to_config(self) -> list[dict[str, dict[str, Any]]]:
        """The pipeline in plain values: [{operator: arguments}, …]."""
        return [{type(t).__name__: t.to_config()} for t in self.transforms]

    @staticmethod
    def from_config(entries: Sequence[Any]) -> "Compose":
        """Build a pipeline from names, or mappings of a name to its arguments.

        Raises:
            ValueError: if a name or an argument is unknown, or an operator refuses its arguments.
        """
        if not isinstance(entries, list | tuple):
            raise ValueError(f"transforms is {entries!r}; a list of operators is needed")
        return _pipeline([_build(k, entry) for k, entry in enumerate(entries)])

    @staticmethod
    def from_choices(choices: Iterable[OperatorChoice]) -> "Compose":
        """Build a pipeline from the checked operators of an experiment file."""
        return _pipeline(
            [from_checked(TRANSFORMS[choice.name], choice.arguments) for choice in choices]
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.transforms!r})"


def _pipeline(operators: Iterable["Operator | Compose"]) -> Compose:
    """A pipeline of operators and of recipes, which stand for the operators in them."""
    transforms: list[Operator] = []
    for operator in operators:
        transforms += operator.transforms if isinstance(operator, Compose) else [operator]
    return _possibly_empty(_checked(transforms))


def _possibly_empty(transforms: list[Operator]) -> Compose:
    """A pipeline that may have lost its last operator, as a flip alone does for prediction."""
    pipeline = Compose.__new__(Compose)
    pipeline.transforms = transforms
    return pipeline


def _checked(given: Sequence[Any]) -> list[Operator]:
    transforms = [adapted(transform) for transform in given]
    for transform in transforms:
        if not isinstance(transform, Operator):
            hint = " (write it with parentheses)" if isinstance(transform, type) else ""
            raise ValueError(f"Compose.transforms has {transform!r}; operators are needed{hint}")
    for kind in (Normalize, Padding):
        if sum(isinstance(t, kind) for t in transforms) > 1:
            raise ValueError(f"Compose: {kind.__name__} is given twice")
    return transforms


def _build(position: int, entry: Any) -> "Operator | Compose":
    key = f"transforms[{position}]"
    name, arguments = _name_and_arguments(key, entry)
    if name == MixupImage.__name__:
        raise ValueError(MixupImage.reason)
    if name not in TRANSFORMS:
        near = suggestion(name, TRANSFORMS)
        raise ValueError(f"{key} is {name!r}; operators are {', '.join(TRANSFORMS)}{near}")
    params = check_arguments(PARAMS[name], arguments, f"{name}.")
    return from_checked(TRANSFORMS[name], params)


def _name_and_arguments(key: str, entry: Any) -> tuple[Any, Mapping[str, Any]]:
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, Mapping) and len(entry) == 1:
        name, arguments = next(iter(entry.items()))
        if arguments is None:
            return name, {}
        if isinstance(arguments, Mapping):
            return name, arguments
    raise ValueError(
        f"{key} is {entry!r}; a name is needed, or one name with its arguments, such as "
        "'RandomHorizontalFlip' or {'ResizeByShort': {'short_size': 800}}"
    )


class ComposedRCNNTransforms(Compose):
    """Flip (training only), normalise, resize by the short side, pad to a multiple of 32."""

    @takes_params(ComposedRCNNTransformsParams, "ComposedRCNNTransforms")
    def __init__(self, params: ComposedRCNNTransformsParams) -> None:
        is_mirrored = params.mode == "train" and params.random_horizontal_flip
        flip: list[Operator] = [RandomHorizontalFlip()] if is_mirrored else []
        normalize = Normalize(params.mean, params.std)
        resize = ResizeByShort(*params.min_max_size)
        super().__init__([*flip, normalize, resize, Padding(_STRIDE)])


TRANSFORMS: dict[str, type] = {
    "RandomHorizontalFlip": RandomHorizontalFlip,
    "Normalize": Normalize,
    "ResizeByShort": ResizeByShort,
    "Resize": Resize,
    "Padding": Padding,
    "RandomDistort": RandomDistort,
    "RandomExpand": RandomExpand,
    "RandomCrop": RandomCrop,
    "CLAHE": CLAHE,
    "ComposedRCNNTransforms": ComposedRCNNTransforms,
    "LargeScaleJitter": LargeScaleJitter,
    "CopyPaste": CopyPaste,
    "RandomVerticalFlip": RandomVerticalFlip,
    "RandomRotate90": RandomRotate90,
    "RandomRotation": RandomRotation,
    "ColorJitter": ColorJitter,
    "RandomBlur": RandomBlur,
    "RandomNoise": RandomNoise,
}
