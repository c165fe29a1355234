"""An image with its objects on the way through the operators.

Origin: Detectron2's `AugInput`, whose place it takes. Differences: it carries the objects,
untouched, with the list of transforms that each of them still has to go through; several such
layers after objects of another image were pasted. Masks are moved once, at the end and one by one,
so that a photograph with a hundred masks never holds a hundred masks of its full size.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from fvcore.transforms.transform import Transform, TransformList

from .outline import Outline
from .setting import Setting

Annotation = Mapping[str, Any]


@dataclass
class Layer:
    """Objects that went the same way.

    Attributes:
        annotations: Detectron2 annotation dicts, with iscrowd, in pixels of the file.
        steps: what was applied to their image since.
    """

    annotations: Sequence[Annotation]
    steps: list[Transform] = field(default_factory=list)

    def outlines(
        self, size: tuple[int, int], with_masks: bool = True
    ) -> Iterator[tuple[Annotation, Outline]]:
        """Each object that is left in an image of (height, width), and where it is now."""
        for annotation in self.annotations:
            # An RLE mask is traced only if the box of its object is still in the image.
            is_costly = with_masks and not isinstance(annotation["segmentation"], list)
            if is_costly and not Outline(annotation, with_mask=False).follow(self.steps):
                continue
            outline = Outline(annotation, with_masks)
            if outline.follow(self.steps) and outline.settle(*size):
                yield annotation, outline


class Scene:
    """What augmentations work on.

    Attributes:
        image: (H, W, C).
        setting: of the run.
        layers: the objects.
        another: makes another sample, gone through the operators before the current one; None
            where only one image is at hand.
    """

    def __init__(
        self, image: np.ndarray, setting: Setting, annotations: Sequence[Annotation] = ()
    ) -> None:
        """Start with one layer of objects."""
        self.image = image
        self.setting = setting
        self.layers = [Layer(annotations)]
        self.another: Callable[[], Scene] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.image.shape[0], self.image.shape[1]

    def transform(self, tfm: Transform) -> None:
        """Change the image, and note it for the objects."""
        self.image = tfm.apply_image(self.image)
        self.note(tfm)

    def note(self, tfm: Transform) -> None:
        """Note a transform that the image has gone through already."""
        steps = tfm.transforms if isinstance(tfm, TransformList) else [tfm]
        for layer in self.layers:
            layer.steps += steps

    @property
    def boxes(self) -> np.ndarray:
        """(N, 4) boxes of the objects that are left, XYXY in pixels; crowd regions left out."""
        found = [o.box for o in self.outlines(with_masks=False) if not o.is_crowd]
        return np.stack(found) if found else np.zeros((0, 4))

    def outlines(self, with_masks: bool = True) -> list[Outline]:
        """The objects that are left, where they are now."""
        return [
            outline for layer in self.layers for _, outline in layer.outlines(self.size, with_masks)
        ]
