"""A saved model in plain Detectron2: the cfg for `DefaultPredictor`, demos and other projects.

Importing this registers our components. Differences from `predict`: Detectron2 resizes with Pillow,
this project with OpenCV, so that boxes of resized images differ a little.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from ..inference.model_directory import WEIGHTS, read_card
from ..inference.network import ModelCard, choose_device, detectron2_cfg

logger = logging.getLogger(__name__)

_NO_LIMIT = 10**6  # pixels
_NOT_PIXELS = ("Normalize", "ResizeByShort", "Padding")


def default_predictor_cfg(model_dir: str | os.PathLike[str], device: str = "auto") -> CfgNode:
    """The cfg of a saved model: network, weights, input size, class names.

    `DefaultPredictor(default_predictor_cfg("output/best_model"))` predicts as Detectron2 does;
    `MetadataCatalog.get(cfg.DATASETS.TEST[0])` has the class names.

    Args:
        model_dir: a directory that `train` or `save_model` wrote.
        device: auto, cpu or cuda.

    Raises:
        ValueError: when it is no complete model directory.
    """
    directory = Path(model_dir).resolve()
    card = read_card(directory)
    cfg = detectron2_cfg(card, choose_device(device))
    cfg.defrost()
    cfg.MODEL.WEIGHTS = str(directory / WEIGHTS)
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = _test_size(card)
    cfg.DATASETS.TEST = (_registered(card, directory),)
    cfg.freeze()
    return cfg


def _test_size(card: ModelCard) -> tuple[int, int]:
    """Short and longest side of the model's own transforms; 0 for images that are left as they are."""
    others = [name for name, _ in _operators(card) if name not in _NOT_PIXELS]
    if others:
        logger.warning(
            "predict applies %s first, which DefaultPredictor cannot: its results will differ",
            " and ".join(others),
        )
    for name, arguments in _operators(card):
        if name == "ResizeByShort":
            short = arguments["short_size"]
            limit = arguments["max_size"]
            return max(short) if isinstance(
                short, list
            ) else short, limit if limit > 0 else _NO_LIMIT
    return 0, _NO_LIMIT


def _operators(card: ModelCard) -> list[tuple[str, dict[str, Any]]]:
    transforms = card.test_transforms()
    if transforms is None:
        return []
    return [next(iter(one.items())) for one in transforms.deterministic().to_config()]


def _registered(card: ModelCard, directory: Path) -> str:
    name = f"paddlex_maskrcnn:{directory}"
    MetadataCatalog.get(name).thing_classes = list(card.labels)
    return name
