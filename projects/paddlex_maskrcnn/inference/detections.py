"""Images to detections: boxes in pixels of the original image, masks pasted inside their boxes only.

Equal to Detectron2's `GeneralizedRCNN` in evaluation mode with `detector_postprocess`, which this
replaces because that one pastes every mask onto a full image. A mask stays what the mask head said,
a few kilobytes, until somebody reads it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from detectron2.modeling import GeneralizedRCNN
from detectron2.structures import Boxes, Instances
from pycocotools import mask as coco_mask

MASK_THRESHOLD = 0.5
_STRIP = 2**20  # pixels pasted at a time, as they are floats before they are bits
_WAITING = 4  # batches of inputs that may wait until more of their shape have come


@dataclass(frozen=True)
class BoxMask:
    """A binary mask that is zero outside a window.

    Attributes:
        x, y: left upper pixel of the window.
        bits: (h, w) uint8 of 0 and 1.
    """

    x: int
    y: int
    bits: np.ndarray

    def dense(self, height: int, width: int) -> np.ndarray:
        """The whole mask, (height, width) uint8 of 0 and 1."""
        whole = np.zeros((height, width), dtype=np.uint8)
        rows, columns = self.bits.shape
        whole[self.y : self.y + rows, self.x : self.x + columns] = self.bits
        return whole

    def rle(self, height: int, width: int) -> dict[str, Any]:
        """COCO's compressed run-length form of the whole mask, counts as text; in time of the window."""
        runs = self._runs(height, width)
        encoded = coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)
        return {"size": [height, width], "counts": encoded["counts"].decode("ascii")}

    def _runs(self, height: int, width: int) -> list[int]:
        """Lengths of the runs of the whole mask, column by column, zeros first."""
        rows, columns = self.bits.shape
        # a zero above and below each column, so that its runs begin and end inside of it
        framed = np.zeros((columns, rows + 2), np.uint8)
        framed[:, 1:-1] = self.bits.T
        flat = framed.reshape(-1)
        column, row = np.divmod(np.flatnonzero(flat[1:] != flat[:-1]), rows + 2)
        edges = (self.x + column) * height + self.y + row
        # where a column of the window ends and the next one begins at the same pixel, no run ends
        inner = np.flatnonzero(edges[1:-1:2] == edges[2::2])
        edges = np.delete(edges, np.concatenate([2 * inner + 1, 2 * inner + 2]))
        runs = np.diff(np.concatenate([[0], edges, [height * width]]))
        return (runs if runs[-1] or len(runs) == 1 else runs[:-1]).tolist()


@dataclass(frozen=True)
class Detection:
    """One detected object of one image.

    Attributes:
        box: (4,) x1, y1, x2, y2 in pixels of the original image, continuous coordinates.
        score: 0 to 1.
        class_index: index into the model's labels.
        mask: inside the box.
    """

    box: tuple[float, float, float, float]
    score: float
    class_index: int
    mask: BoxMask

    @property
    def xywh(self) -> list[float]:
        """Left, top, width, height in pixels."""
        x1, y1, x2, y2 = self.box
        return [x1, y1, x2 - x1, y2 - y1]


class _NetworkOutput(NamedTuple):
    """N detections of an image on the CPU, in pixels of the network's input.

    Attributes:
        boxes: (N, 4) XYXY.
        scores: (N,).
        classes: (N,).
        masks: (N, M, M) probabilities.
    """

    boxes: torch.Tensor
    scores: torch.Tensor
    classes: torch.Tensor
    masks: torch.Tensor


class HeadMask(BoxMask):
    """A mask head's output, pasted anew whenever its bits are read."""

    _probabilities: torch.Tensor
    _box: torch.Tensor
    _frame: tuple[int, int]

    def __init__(
        self,
        probabilities: torch.Tensor,
        box: torch.Tensor,
        frame: tuple[int, int],
        corner: tuple[int, int] = (0, 0),
    ) -> None:
        """Keep what pasting needs.

        Args:
            probabilities: (M, M) on the CPU.
            box: (4,) x1, y1, x2, y2 in pixels of the frame.
            frame: (height, width) in pixels of the image, or the tile of one, that was looked at.
            corner: left upper pixel of the frame in the image.
        """
        left, top, _, _ = _window(box, *frame)
        # as BoxMask is frozen
        self.__dict__.update(x=left + corner[0], y=top + corner[1])
        self.__dict__.update(_probabilities=probabilities, _box=box, _frame=frame)

    @property
    def bits(self) -> np.ndarray:
        """(h, w) uint8 of 0 and 1."""
        return paste_in_box(self._probabilities, self._box, *self._frame).bits

    def __repr__(self) -> str:
        return f"HeadMask(x={self.x}, y={self.y})"


def detect(module: GeneralizedRCNN, inputs: Sequence[dict[str, Any]]) -> list[list[Detection]]:
    """Detections of each image, best first, equal scores in the network's order.

    Args:
        module: in evaluation mode.
        inputs: as `detect_each`.
    """
    detections = dict(detect_each(module, inputs, max(1, len(inputs))))
    return [detections[index] for index in range(len(inputs))]


@torch.no_grad()
def detect_each(
    module: GeneralizedRCNN, inputs: Iterable[dict[str, Any]], batch_size: int
) -> Iterator[tuple[int, list[Detection]]]:
    """(index of the input, its detections), in the order in which batches become full.

    Only images of one shape run together, since the padding of a mixed batch would change the
    features at the border: any batch size gives the same result.

    Args:
        module: in evaluation mode.
        inputs: Detectron2's input dicts with `image` (C, H, W) and the original `height`, `width`;
            for a tile also its left upper pixel in the image, `corner`.
        batch_size: largest number of images that run together; four times as many are held.
    """
    waiting: dict[tuple, list[tuple[int, dict[str, Any]]]] = {}
    for index, sample in enumerate(inputs):
        shape = (*sample["image"].shape, sample.get("pad_to"))
        waiting.setdefault(shape, []).append((index, sample))
        if len(waiting[shape]) == batch_size:
            yield from _run(module, waiting.pop(shape))
        elif sum(map(len, waiting.values())) >= _WAITING * batch_size:
            yield from _run(module, waiting.pop(max(waiting, key=lambda key: len(waiting[key]))))
    for batch in waiting.values():
        yield from _run(module, batch)


def _run(
    module: GeneralizedRCNN, batch: Sequence[tuple[int, dict[str, Any]]]
) -> Iterator[tuple[int, list[Detection]]]:
    instances = module.inference([sample for _, sample in batch], do_postprocess=False)
    sizes = [objects.image_size for objects in instances]
    for (index, sample), size, output in zip(batch, sizes, _read(instances), strict=True):
        frame = sample["height"], sample["width"]
        yield index, _to_original(output, size, frame, sample.get("corner", (0, 0)))


def _read(instances: Sequence[Instances]) -> list[_NetworkOutput]:
    """The output for each image of a batch, in one copy: a GPU is waited for once."""
    rows = [
        torch.cat(
            (
                objects.pred_boxes.tensor, objects.scores[:, None], objects.pred_classes[:, None],
                objects.pred_masks.flatten(1),
            ),
            dim=1,
        ).float()
        for objects in instances
    ]  # fmt: skip
    parts = torch.cat(rows).cpu().split([len(objects) for objects in instances])
    sides = [objects.pred_masks.shape[-2:] for objects in instances]
    return [_unpacked(part, side) for part, side in zip(parts, sides, strict=True)]


def _unpacked(rows: torch.Tensor, sides: Sequence[int]) -> _NetworkOutput:
    return _NetworkOutput(
        rows[:, :4], rows[:, 4], rows[:, 5].long(), rows[:, 6:].unflatten(1, sides)
    )


def _to_original(
    output: _NetworkOutput, size: tuple[int, int], frame: tuple[int, int], corner: tuple[int, int]
) -> list[Detection]:
    """Detections of one image at network resolution, scaled to the original image."""
    boxes = Boxes(output.boxes.clone())
    boxes.scale(frame[1] / size[1], frame[0] / size[0])
    boxes.clip(frame)
    nonempty = boxes.nonempty()
    in_frame, masks = boxes.tensor[nonempty], output.masks[nonempty]
    in_image = (in_frame + in_frame.new_tensor([*corner, *corner])).tolist()
    scores, classes = output.scores[nonempty].tolist(), output.classes[nonempty].tolist()
    pasted = [HeadMask(mask, box, frame, corner) for mask, box in zip(masks, in_frame, strict=True)]
    detections = [
        Detection(tuple(box), score, label, mask)
        for box, score, label, mask in zip(in_image, scores, classes, pasted, strict=True)
    ]
    return sorted(detections, key=lambda detection: -detection.score)


def paste_in_box(mask: torch.Tensor, box: torch.Tensor, height: int, width: int) -> BoxMask:
    """A mask head's output as a binary mask of the image region its box covers.

    Detectron2's `paste_masks_in_image`, whose bilinear interpolation is here the product of the mask
    with a matrix from each side: the same pixels in a tenth of the time.

    Args:
        mask: (M, M) probabilities.
        box: (4,) x1, y1, x2, y2, pixels.
        height, width: of the image, pixels.
    """
    left, top, right, bottom = _window(box, height, width)
    x1, y1, x2, y2 = box.tolist()
    down = _interpolation(top, bottom, y1, y2, mask.shape[0]) @ mask.numpy()
    across = np.ascontiguousarray(_interpolation(left, right, x1, x2, mask.shape[1]).T)
    bits = np.empty((bottom - top, right - left), dtype=np.uint8)
    rows = max(1, _STRIP // bits.shape[1])
    for first in range(0, len(bits), rows):
        strip = slice(first, first + rows)
        np.greater_equal(down[strip] @ across, MASK_THRESHOLD, out=bits[strip].view(bool))
    return BoxMask(left, top, bits)


def _interpolation(start: int, stop: int, low: float, high: float, cells: int) -> np.ndarray:
    """What each cell of a mask that reaches from low to high adds to each pixel: (pixels, cells).

    In the float32 steps of Detectron2's pasting and torch's grid_sample, so that it rounds alike.
    """
    first, last = np.float32(low), np.float32(high)
    centre = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
    normed = (centre - first) / (last - first) * 2 - 1
    position = ((normed + 1) * cells - 1) / 2
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(cells, dtype=np.float32)))


def _window(box: torch.Tensor, height: int, width: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the pixels that a box can touch."""
    x1, y1, x2, y2 = box.tolist()
    left, top = max(math.floor(x1) - 1, 0), max(math.floor(y1) - 1, 0)
    return left, top, min(math.ceil(x2) + 1, width), min(math.ceil(y2) + 1, height)
