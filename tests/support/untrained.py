"""A saved model of random weights that finds something: seconds less than training one."""

from pathlib import Path

import torch

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.config.schema import ModelParams
from paddlex_maskrcnn.inference.model_directory import save_model_directory
from paddlex_maskrcnn.inference.network import ModelCard, Network, build_network
from paddlex_maskrcnn.weights.input_format import InputFormat

from .tiny_training import EVAL, SMALL

LABELS = ["circle", "square", "star"]
CATEGORY_IDS = [3, 7, 8]


def save_untrained(directory: Path, transforms=EVAL, **settings) -> Path:
    """A model directory whose network has middling scores for anything and masks of noise."""
    network = build_untrained(transforms, **settings)
    network.module.roi_heads.box_predictor.cls_score.weight.data.mul_(6)
    network.module.roi_heads.mask_head.predictor.weight.data.mul_(30)
    save_model_directory(directory, network)
    return directory


def build_untrained(transforms=EVAL, seed: int = 0, labels=LABELS, **settings) -> Network:
    """A network of random weights on the CPU, in training mode."""
    torch.manual_seed(seed)
    params = ModelParams(**{"num_classes": 4, **SMALL, "score_threshold": 0.1, **settings})
    form = InputFormat("BGR", (110.0, 110.0, 110.0), (50.0, 50.0, 50.0))
    config = transforms.to_config() if transforms is not None else None
    ids = CATEGORY_IDS if labels is LABELS else list(range(1, len(labels) + 1))
    card = ModelCard(params, list(labels), ids, form, pretrained=False, transforms=config)
    return build_network(card, "cpu")


def load(directory: Path, **more):
    return pdx.load_model(directory, **more)
