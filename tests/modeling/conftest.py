"""Small models, targets and proposals for the tests of the model's parts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.structures import BitMasks, Boxes, Instances

import paddlex_maskrcnn.modeling  # noqa: F401  (registers its components)

NUM_CLASSES = 5


def tiny_cfg(fpn: bool = True, depth: int = 18) -> CfgNode:
    """Stock Detectron2 Mask R-CNN, small enough for a test, plus the values of our own keys."""
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.MASK_ON = True
    cfg.MODEL.WEIGHTS = ""
    cfg.INPUT.FORMAT = "RGB"
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = NUM_CLASSES
    cfg.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE = 32
    cfg.MODEL.RPN.BATCH_SIZE_PER_IMAGE = 64
    cfg.MODEL.RPN.POST_NMS_TOPK_TRAIN = cfg.MODEL.RPN.POST_NMS_TOPK_TEST = 50
    cfg.TEST.DETECTIONS_PER_IMAGE = 20
    _set_backbone(cfg, fpn, depth)
    _set_our_keys(cfg)
    return cfg


def _set_backbone(cfg: CfgNode, fpn: bool, depth: int) -> None:
    cfg.MODEL.RESNETS.DEPTH = depth
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 64 if depth < 50 else 32
    cfg.MODEL.RESNETS.WIDTH_PER_GROUP = 8  # bottlenecks: a quarter of their outputs
    cfg.MODEL.RESNETS.NORM = "BN"  # frozen statistics on random weights explode
    cfg.MODEL.ROI_MASK_HEAD.NAME = "MaskRCNNConvUpsampleHead"
    cfg.MODEL.ROI_MASK_HEAD.CONV_DIM = 16
    if not fpn:
        cfg.MODEL.ANCHOR_GENERATOR.SIZES = [[16, 32, 64]]
        cfg.MODEL.ROI_HEADS.NAME = "Res5ROIHeads"
        return
    cfg.MODEL.BACKBONE.NAME = "build_resnet_fpn_backbone"
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
    cfg.MODEL.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    cfg.MODEL.FPN.OUT_CHANNELS = 16
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = [[8], [16], [32], [64], [128]]
    cfg.MODEL.RPN.IN_FEATURES = ["p2", "p3", "p4", "p5", "p6"]
    cfg.MODEL.ROI_HEADS.NAME = "StandardROIHeads"
    cfg.MODEL.ROI_HEADS.IN_FEATURES = ["p2", "p3", "p4", "p5"]
    cfg.MODEL.ROI_BOX_HEAD.NAME = "FastRCNNConvFCHead"
    cfg.MODEL.ROI_BOX_HEAD.NUM_FC = 1
    cfg.MODEL.ROI_BOX_HEAD.FC_DIM = 16
    cfg.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION = 7


def _set_our_keys(cfg: CfgNode) -> None:
    cfg.MODEL.RESNETS.VARIANT = "b"
    cfg.MODEL.RPN.FOCAL_ALPHA = None
    cfg.MODEL.RPN.FOCAL_GAMMA = 2.0
    cfg.MODEL.RPN.FOCAL_ON = "sampled"
    cfg.MODEL.ROI_HEADS.SAMPLER = "random_sampler"
    cfg.MODEL.ROI_HEADS.NMS = "hard_nms"
    cfg.MODEL.ROI_HEADS.SOFT_NMS_SIGMA = 0.5
    cfg.MODEL.ROI_HEADS.CROWD_THRESH = 0.7


@pytest.fixture
def make_cfg() -> Callable[..., CfgNode]:
    """Makes a new configuration of stock Detectron2 parts: make_cfg(fpn, depth)."""
    return tiny_cfg


def random_targets(num: int, size: int, crowd: list[bool] | None = None) -> Instances:
    """Objects of one image, drawn from torch's generator; `crowd` flags some as crowd regions."""
    corner = torch.rand(num, 2) * size * 0.5
    side = torch.rand(num, 2) * size * 0.4 + 6
    targets = Instances((size, size))
    targets.gt_boxes = Boxes(torch.cat([corner, corner + side], dim=1))
    targets.gt_classes = torch.randint(0, NUM_CLASSES, (num,))
    targets.gt_masks = BitMasks(torch.rand(num, size, size) > 0.5)
    if crowd is not None:
        targets.gt_crowd = torch.tensor(crowd, dtype=torch.bool)
    return targets


@pytest.fixture
def make_targets() -> Callable[..., Instances]:
    """Draws the objects of an image: make_targets(num, size, crowd)."""
    return random_targets


def random_proposals(num: int, size: int) -> Instances:
    """Proposals of one image, drawn from torch's generator."""
    corner = torch.rand(num, 2) * size * 0.6
    side = torch.rand(num, 2) * size * 0.4 + 2
    proposals = Instances((size, size))
    proposals.proposal_boxes = Boxes(torch.cat([corner, corner + side], dim=1))
    proposals.objectness_logits = torch.rand(num)
    return proposals


@pytest.fixture
def make_proposals() -> Callable[[int, int], Instances]:
    """Draws the proposals of an image: make_proposals(num, size)."""
    return random_proposals


@pytest.fixture
def make_backbone_cfg():
    """A function depth, variant, settings -> cfg; settings are keys below MODEL."""

    def make(depth=18, variant="b", **settings):
        cfg = get_cfg()
        cfg.MODEL.BACKBONE.GRADIENT_CHECKPOINTING = False
        cfg.MODEL.BACKBONE.FREEZE_AT = 0
        cfg.MODEL.RESNETS.DEPTH = depth
        cfg.MODEL.RESNETS.VARIANT = variant
        cfg.MODEL.RESNETS.STRIDE_IN_1X1 = False
        cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 64 if depth < 50 else 256
        cfg.MODEL.RESNETS.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
        cfg.MODEL.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
        cfg.MODEL.FPN.OUT_CHANNELS = 16
        cfg.MODEL.HRNET = CfgNode({"NORM": "FrozenBN"})
        for key, value in settings.items():
            section, _, name = key.partition("__")
            setattr(cfg.MODEL[section], name, value)
        return cfg

    return make
