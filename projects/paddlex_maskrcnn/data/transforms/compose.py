"""The pipeline of operators.

Origin: PaddleX `Compose`. Differences: it only describes, datasets and models read it and never
change it, so one object may serve training and evaluation; and the order in which Normalize and
Padding stand among the rest does not matter, because the model carries them out.
"""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.data import transforms as d2

from .mixup import MixupImage
from .normalize import Normalize
from .operator import Operator
from .padding import Padding
from .setting import Setting


class Compose:
    """A list of operators, applied in order."""

    def __init__(self, transforms: Sequence[Operator]) -> None:
        """Check and keep the operators.

        Raises:
            ValueError: if the list is empty, holds something else than operators, or has
                Normalize or Padding twice.
        """
        if not isinstance(transforms, list | tuple) or not transforms:
            raise ValueError(
                f"Compose: transforms must be a non-empty list of operators, got {transforms!r}"
            )
        self.transforms = _checked(list(transforms))

    @property
    def keeps_values(self) -> bool:
        """Whether pictures of 16 bits are to be read with their values, not as 8 bits."""
        return self.normalize is not None and self.normalize.exceeds_bytes

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

    def setting(
        self, image_format: str, num_channels: int, labels: Sequence[str] | None = None
    ) -> Setting:
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
        setting = Setting(
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
            transform.check(setting)
        return setting

    def deterministic(self) -> "Compose":
        """The pipeline for prediction: random operators left out, random choices fixed."""
        kept = [t.deterministic() for t in self.transforms]
        return _possibly_empty([t for t in kept if t is not None])

    def add_augmenters(self, augmenters: list[Operator]) -> None:
        """Put more operators in front.

        Raises:
            ValueError: if it is no list, or has an operator that the pipeline has already.
        """
        if not isinstance(augmenters, list):
            raise ValueError(f"add_augmenters: augmenters must be a list, got {augmenters!r}")
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
            raise ValueError(f"transforms must be a list of operators, got {entries!r}")
        transforms: list[Operator] = []
        for entry in entries:
            built = _build(entry)
            transforms += built.transforms if isinstance(built, Compose) else [built]
        return _possibly_empty(_checked(transforms))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.transforms!r})"


def _possibly_empty(transforms: list[Operator]) -> Compose:
    """A pipeline that may have lost its last operator, as a flip alone does for prediction."""
    pipeline = Compose.__new__(Compose)
    pipeline.transforms = transforms
    return pipeline


def _checked(transforms: list[Operator]) -> list[Operator]:
    for transform in transforms:
        if not isinstance(transform, Operator):
            hint = " (write it with parentheses)" if isinstance(transform, type) else ""
            raise ValueError(f"Compose: {transform!r} is not an operator of transforms{hint}")
    for kind in (Normalize, Padding):
        if sum(isinstance(t, kind) for t in transforms) > 1:
            raise ValueError(f"Compose: {kind.__name__} is given twice")
    return transforms


def _build(entry: Any) -> "Operator | Compose":
    from . import TRANSFORMS  # the table imports this module

    name, arguments = _name_and_arguments(entry)
    if name == MixupImage.__name__:
        raise ValueError(MixupImage.reason)
    if name not in TRANSFORMS:
        near = difflib.get_close_matches(str(name), TRANSFORMS, n=1, cutoff=0.4)
        hint = f", did you mean {near[0]!r}?" if near else "."
        raise ValueError(
            f"transforms: unknown operator {name!r}{hint} Allowed: {', '.join(TRANSFORMS)}"
        )
    allowed = list(inspect.signature(TRANSFORMS[name]).parameters)
    unknown = [key for key in arguments if key not in allowed]
    if unknown:
        raise ValueError(f"{name}: unknown argument {unknown[0]!r}; it takes {', '.join(allowed)}")
    try:
        return TRANSFORMS[name](**arguments)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from error


def _name_and_arguments(entry: Any) -> tuple[Any, Mapping[str, Any]]:
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, Mapping) and len(entry) == 1:
        name, arguments = next(iter(entry.items()))
        if arguments is None:
            return name, {}
        if isinstance(arguments, Mapping):
            return name, arguments
    raise ValueError(
        f"transforms: each entry must be a name or one name with its arguments, "
        f"such as 'RandomHorizontalFlip' or {{'ResizeByShort': {{'short_size': 800}}}}, "
        f"got {entry!r}"
    )
