"""Predictions in the documented form: one dict an object, best first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..data.images import as_image, read_image
from ..data.mapper import TestMapper
from ..data.transforms import Compose
from .detection import Detection
from .inference import detect
from .network import Network

MAX_BATCH = 8


def predict_images(
    network: Network, images: Sequence[Any], transforms: Compose
) -> list[list[dict[str, Any]]]:
    """For each image its objects, best first.

    Args:
        network: in evaluation mode.
        images: paths, or (H, W, C) arrays in BGR order.
        transforms: operators applied before the network.

    Returns:
        Per object: `bbox` [xmin, ymin, w, h] in pixels, `mask` (H, W) uint8 of the original image,
        `category`, `category_id` (1 is the first class, as in PaddleX), `score`.
    """
    card = network.card
    order, channels = card.input_format.channel_order, card.params.input_channel
    mapper = TestMapper(transforms, order, channels)
    results = []
    for start in range(0, len(images), MAX_BATCH):
        arrays = [_array(one, order, channels) for one in images[start : start + MAX_BATCH]]
        inputs = [mapper(array) for array in arrays]
        for one, found in zip(inputs, detect(network.module, inputs), strict=True):
            results.append([as_dict(d, card.labels, one["height"], one["width"]) for d in found])
    return results


def as_dict(detection: Detection, labels: Sequence[str], height: int, width: int) -> dict[str, Any]:
    """One detection in the documented form."""
    return {
        "bbox": detection.xywh,
        "mask": detection.mask.dense(height, width),
        "category": labels[detection.class_index],
        "category_id": detection.class_index + 1,
        "score": detection.score,
    }


def _array(image: Any, channel_order: str, num_channels: int) -> Any:
    if isinstance(image, str) or hasattr(image, "__fspath__"):
        return read_image(image, channel_order, num_channels)
    return as_image(image, channel_order, num_channels)
