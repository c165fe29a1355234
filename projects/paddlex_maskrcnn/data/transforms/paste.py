"""Copy-paste: objects of another image, cut out along their masks and laid over this one.

Paper: Ghiasi et al., "Simple copy-paste is a strong data augmentation method for instance
segmentation", CVPR 2021. Both images go through the operators in front (jitter, flip), each with
random numbers of its own. What lies below a pasted object loses those pixels, and disappears when
none are left; edges are not blended, which the paper found to make no difference.

PaddleX's `MixupImage`, the other way to mix images, is refused.
"""

import numpy as np
from detectron2.data import transforms as d2
from fvcore.transforms.transform import Transform

from ...config.operator_params import CopyPasteParams
from ...config.signature import takes_params
from .crop import Crop, Pad
from .operator import Operator
from .sample import Annotation, Layer, Sample


class CopyPaste(Operator, d2.Augmentation):
    """Lay objects of another training image over this one."""

    @takes_params(CopyPasteParams, "CopyPaste")
    def __init__(self, params: CopyPasteParams) -> None:
        self.prob = params.prob
        self.max_objects = params.max_objects
        self.min_visible = params.min_visible

    def __call__(self, aug_input: Sample) -> Transform:
        """Paste onto a sample, and return what that does to the objects in it."""
        if np.random.random() >= self.prob:
            return d2.NoOpTransform()
        if aug_input.draw_another is None:
            raise ValueError(
                "CopyPaste needs the other images of the data set, but here is only one; "
                "use it in the transforms of a training data set"
            )
        other = aug_input.draw_another()
        _fit(other, aug_input.size)
        layers, mask = self._choose(other)
        if not layers:
            return d2.NoOpTransform()
        paste = Paste(other.image, mask, self.min_visible)
        aug_input.transform(paste)
        aug_input.layers += layers
        return paste

    def deterministic(self) -> None:
        """Prediction does not paste."""
        return

    def smallest_size(self, height: int, width: int) -> None:
        """The two images must keep their sizes relative to each other."""
        return

    def _choose(self, other: Sample) -> tuple[list[Layer], np.ndarray]:
        """Some objects of the other sample, and all their pixels."""
        size = other.size
        candidates = [
            (layer, entry, annotation)
            for layer in other.layers
            for entry, annotation in layer.annotations(size)
            if not annotation.is_crowd
        ]
        mask = np.zeros(size, dtype=bool)
        if not candidates:
            return [], mask
        count = np.random.randint(1, min(self.max_objects, len(candidates)) + 1)
        chosen = [candidates[k] for k in np.random.permutation(len(candidates))[:count]]
        for _, _, annotation in chosen:
            mask |= annotation.rasterized(*size)
        return [Layer([entry], list(layer.steps)) for layer, entry, _ in chosen], mask


class Paste(Transform):
    """Lay some pixels over an image."""

    def __init__(self, pixels: np.ndarray, mask: np.ndarray, min_visible: float) -> None:
        """Keep what is pasted.

        Args:
            pixels: (H, W, C), of the size of the image.
            mask: (H, W) bool, which of them.
            min_visible: share of an object that must still be seen.
        """
        super().__init__()
        self.pixels, self.mask, self.min_visible = pixels, mask, min_visible

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """The image below and the pixels above."""
        return np.where(self.mask[:, :, None], self.pixels, img)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Points stay."""
        return coords

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """What is not covered."""
        return segmentation & ~self.mask

    def apply_annotation(self, annotation: Annotation) -> None:
        """Take the covered pixels from an object; a crowd region stays what it is."""
        seen = annotation.cover(self.mask)
        annotation.is_gone = seen == 0 or seen < self.min_visible


def _fit(other: Sample, size: tuple[int, int]) -> None:
    """Cut the other sample, or put it on a larger area, at a random position, to this size."""
    height, width = other.image.shape[:2]
    cut = min(height, size[0]), min(width, size[1])
    if cut != (height, width):
        y, x = np.random.randint(height - cut[0] + 1), np.random.randint(width - cut[1] + 1)
        other.transform(Crop(x, y, cut[1], cut[0]))
    if cut != size:
        y, x = np.random.randint(size[0] - cut[0] + 1), np.random.randint(size[1] - cut[1] + 1)
        other.transform(Pad(cut, size, (y, x), other.context.fill(None)))


class MixupImage:
    """Refused: the sentence says why, and what to use instead."""

    reason = (
        "MixupImage is not for Mask R-CNN: it lays two images over each other half transparent and "
        "gives their objects weights that only YOLOv3's loss reads (PaddleX documents it for YOLOv3 "
        "alone), while a pixel that shows both images belongs to no mask. CopyPaste mixes images "
        "object by object"
    )

    def __init__(self, alpha: float = 1.5, beta: float = 1.5, mixup_epoch: int = -1) -> None:
        """Refuse.

        Args:
            alpha: as PaddleX has it.
            beta: likewise.
            mixup_epoch: likewise.

        Raises:
            ValueError: always.
        """
        raise ValueError(self.reason)
