"""Published detectors as ready models: `coco:ResNet50` is the catalogue's COCO network of that backbone.

The network is the one its weights were trained as: 80 classes with COCO's own ids, the parameters of the
schema at their defaults, pictures at a short side of 800 (at most 1333), which Detectron2's and PaddleX's
published figures are for.
"""

from __future__ import annotations

from ..config.check import check_arguments, suggestion
from ..config.schema import ModelParams
from ..weights.catalogue import COCO_LABELS, all_entries
from ..weights.loading import load_all_weights
from ..weights.source import open_weights
from .network import ModelCard, Network, build_network

PREFIX = "coco:"

# of 1 to 90, those that COCO's instances never had
_UNUSED_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
COCO_IDS = [number for number in range(1, 91) if number not in _UNUSED_IDS]
_TRANSFORMS: list[dict] = [
    {"Normalize": {}},
    {"ResizeByShort": {"short_size": 800, "max_size": 1333}},
    {"Padding": {"coarsest_stride": 32}},
]


def is_published(name: str) -> bool:
    """Whether a name means a published model, not a folder."""
    return name.startswith(PREFIX)


def published_network(name: str, device: str) -> Network:
    """The network of a published model, in evaluation mode; its weights are downloaded once.

    Args:
        name: `coco:` and a backbone.
        device: cpu or cuda.

    Raises:
        ValueError: when no whole detector is published for the backbone, or its file cannot be had.
    """
    backbone = name.removeprefix(PREFIX)
    backbones = [each for each, kind, fpn, _ in all_entries() if kind == "COCO" and fpn]
    if backbone not in backbones:
        raise ValueError(
            f"{name!r}: choose one of {', '.join(PREFIX + each for each in backbones)}"
            f"{suggestion(backbone, backbones)}"
        )
    source = open_weights("COCO", backbone)
    assert source is not None
    card = ModelCard(
        params=check_arguments(ModelParams, {"num_classes": 81, "backbone": backbone}),
        labels=list(COCO_LABELS),
        category_ids=list(COCO_IDS),
        input_format=source.input_format,
        pretrained=True,
        transforms=_TRANSFORMS,
        metric="COCO",
    )
    network = build_network(card, device)
    load_all_weights(network.module, source)
    network.module.eval()
    return network
