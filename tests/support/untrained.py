"""A saved model of random weights that finds something: seconds less than training one."""

from pathlib import Path

import torch

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.config.schema import ModelParams
from paddlex_maskrcnn.inference.model_directory import save_model_directory
from paddlex_maskrcnn.inference.network import ModelCard, build_network
from paddlex_maskrcnn.weights.input_format import InputFormat

from .tiny_training import EVAL, SMALL

LABELS = ["circle", "square", "star"]
CATEGORY_IDS = [3, 7, 8]


def save_untrained(directory: Path, transforms=EVAL, **settings) -> Path:
    """A model directory whose network has middling scores for anything and masks of noise."""
    torch.manual_seed(0)
    params = ModelParams(**{"num_classes": 4, **SMALL, "score_threshold": 0.1, **settings})
    form = InputFormat("BGR", (110.0, 110.0, 110.0), (50.0, 50.0, 50.0))
    config = transforms.to_config() if transforms is not None else None
    card = ModelCard(params, LABELS, CATEGORY_IDS, form, pretrained=False, transforms=config)
    network = build_network(card, "cpu")
    network.module.roi_heads.box_predictor.cls_score.weight.data.mul_(6)
    network.module.roi_heads.mask_head.predictor.weight.data.mul_(30)
    save_model_directory(directory, network)
    return directory


def load(directory: Path, **more):
    return pdx.load_model(directory, **more)
