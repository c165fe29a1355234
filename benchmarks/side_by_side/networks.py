"""The three networks, each built and used as its own users do.

Ours comes out of `engine.setup.set_up` and `load_model`, so that whatever these do for speed counts.
Detectron2 is its own configuration file with the settings of ours where the defaults differ;
torchvision's is what `maskrcnn_resnet50_fpn` builds, whose own defaults are the same numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import detectron2
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import GeneralizedRCNN, build_model
from torch import nn

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.config.schema import ModelParams, TrainParams
from paddlex_maskrcnn.det import transforms
from paddlex_maskrcnn.engine.setup import TrainingRun, set_up
from paddlex_maskrcnn.weights.input_format import IMAGENET_RGB

from .settings import Settings, Variant
from .weights import SharedWeights, torchvision_network

_ZOO = Path(detectron2.__file__).parent / "model_zoo" / "configs" / "COCO-InstanceSegmentation"
LEARNING_RATE = 1e-6  # random weights do not move far, so that every step costs the same


def our_run(
    weights: Path, data: Any, settings: Settings, variant: Variant | None = None
) -> TrainingRun:
    """A training run of ours, ready for its first step.

    Args:
        weights: a model directory.
        data: the training data set, with transforms.
        variant: rows that differ from the defaults.
    """
    model = {
        "num_classes": len(data.labels) + 1,
        "device": settings.device,
        "rcnn_batch_size_per_im": settings.regions,
        "rpn_batch_size_per_im": settings.anchors,
    }
    train = {
        "num_epochs": 10**6,
        "train_dataset": data,
        "train_batch_size": settings.batch_size,
        "pretrain_weights": str(weights),
        "learning_rate": LEARNING_RATE,
        "warmup_steps": 0,
    }
    changes = variant or Variant("")
    params = TrainParams(**{**train, **changes.train})
    return set_up(ModelParams(**{**model, **changes.model}), params, data, None)


def our_model(weights: Path, settings: Settings) -> pdx.MaskRCNN:
    """A saved model of ours, ready to predict."""
    return pdx.load_model(weights, device=settings.device, warm=False)


def our_transforms(settings: Settings) -> transforms.Compose:
    """Resizing alone, for prediction."""
    resize = transforms.ResizeByShort(settings.size, settings.longest)
    return transforms.Compose([transforms.Normalize(), resize])


def stock_cfg(settings: Settings, num_classes: int) -> CfgNode:
    """Detectron2's recipe of Mask R-CNN R50-FPN with the numbers of ours where they differ."""
    cfg = get_cfg()
    cfg.merge_from_file(str(_ZOO / "mask_rcnn_R_50_FPN_1x.yaml"))
    form = IMAGENET_RGB
    cfg.merge_from_list(
        [
            "MODEL.DEVICE", settings.device,
            "MODEL.WEIGHTS", "",
            "MODEL.ROI_HEADS.NUM_CLASSES", num_classes,
            "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", settings.regions,
            "MODEL.RPN.BATCH_SIZE_PER_IMAGE", settings.anchors,
            "MODEL.RPN.POST_NMS_TOPK_TRAIN", 2000,
            "MODEL.RPN.SMOOTH_L1_BETA", 1 / 9,
            "MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA", 1.0,
            "MODEL.PIXEL_MEAN", list(form.pixel_mean),
            "MODEL.PIXEL_STD", list(form.pixel_std),
            "MODEL.RESNETS.STRIDE_IN_1X1", False,
            "INPUT.FORMAT", form.channel_order,
            "INPUT.MIN_SIZE_TEST", settings.size,
            "INPUT.MAX_SIZE_TEST", settings.longest,
            "SOLVER.BASE_LR", LEARNING_RATE,
        ]
    )  # fmt: skip
    return cfg


def stock_network(weights: SharedWeights, settings: Settings) -> GeneralizedRCNN:
    """Stock Detectron2 with the weights of ours."""
    from paddlex_maskrcnn.inference.model_directory import WEIGHTS, read_tensors

    network = build_model(stock_cfg(settings, weights.num_classes))
    network.load_state_dict(read_tensors(weights.ours / WEIGHTS))
    return network


def torchvision_s(weights: SharedWeights, settings: Settings, *, training: bool) -> nn.Module:
    """torchvision's with the same weights; in training it is given images of the final size."""
    network = torchvision_network(
        weights.num_classes,
        min_size=settings.size,
        max_size=settings.longest,
        _skip_resize=training,
        box_batch_size_per_image=settings.regions,
        rpn_batch_size_per_image=settings.anchors,
    )
    network.load_state_dict(torch.load(weights.torchvision, weights_only=True))
    return network.to(settings.device).train(training)
