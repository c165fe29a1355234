"""What travels in the file beside the graph: class names, what to do to an image, and where it is from.

Every value is JSON. Operators that change pixels are `steps`, which the caller carries out; those that
the graph does itself are listed for the record.
"""

from __future__ import annotations

import json
import platform
from typing import Any

import detectron2
import numpy as np
import torch
import torchvision

from .. import __version__
from ..data.transforms import CLAHE, Compose, Normalize, Padding, Resize, ResizeByShort
from ..data.transforms.resize import width_and_height
from ..engine.inference import MASK_THRESHOLD
from ..engine.network import ModelCard

FORMAT_VERSION = 1


def metadata_of(card: ModelCard, transforms: Compose, step: int) -> dict[str, str]:
    """Key to JSON text.

    Args:
        card: of the model.
        transforms: applied before the network.
        step: what the padded sides are a multiple of, in pixels.

    Raises:
        ValueError: for an operator that the file has no words for.
    """
    described = {
        "format_version": FORMAT_VERSION,
        "model": f"MaskRCNN {card.params.backbone}" + (" FPN" if card.params.with_fpn else " C4"),
        "labels": list(card.labels),
        "category_ids": list(card.category_ids),
        "preprocessing": _preprocessing(card, transforms, step),
        "postprocessing": _postprocessing(card),
        "versions": {
            "paddlex_maskrcnn": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "torchvision": str(torchvision.__version__),
            "detectron2": detectron2.__version__,
            "numpy": np.__version__,
        },
    }
    return {key: json.dumps(value, ensure_ascii=False) for key, value in described.items()}


def _preprocessing(card: ModelCard, transforms: Compose, step: int) -> dict[str, Any]:
    form, padding = card.input_format, transforms.padding
    others = [t for t in transforms.transforms if not isinstance(t, (Normalize, Padding))]
    return {
        "channel_order": form.channel_order,
        "num_channels": card.params.input_channel,
        "steps": [_step(operator) for operator in others],
        "in_graph": {
            "pixel_mean": list(form.pixel_mean),
            "pixel_std": list(form.pixel_std),
            "padding": padding.to_config() if padding else None,
            "multiple_of": step,
        },
    }


def _step(operator: Any) -> dict[str, Any]:
    if isinstance(operator, ResizeByShort):
        short = operator.short_size
        assert isinstance(short, int)  # the deterministic form has one
        return {"name": "ResizeByShort", "short_size": short, "max_size": operator.max_size}
    if isinstance(operator, Resize):
        width, height = width_and_height(operator.target_size)
        return {"name": "Resize", "width": width, "height": height, "interp": operator.interp}
    if isinstance(operator, CLAHE):
        return {"name": "CLAHE", **operator.to_config()}
    raise ValueError(
        f"the test transforms have {type(operator).__name__}, which an exported file cannot describe; "
        "export a model whose transforms are of ResizeByShort, Resize, CLAHE, Normalize and Padding"
    )


def _postprocessing(card: ModelCard) -> dict[str, Any]:
    params = card.params
    return {
        "mask_threshold": MASK_THRESHOLD,
        "score_threshold": params.score_threshold,
        "nms": params.rcnn_nms,
        "nms_threshold": params.nms_threshold,
        "keep_top_k": params.keep_top_k,
    }
