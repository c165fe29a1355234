"""The second stage's choices: sampler, crowd regions and the C4 heads Detectron2 lacks.

Equality with Detectron2's parents is tested on whole models in test_meta_arch.py.
"""

from __future__ import annotations

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone.resnet import BasicBlock
from detectron2.modeling.roi_heads import StandardROIHeads
from detectron2.structures import Boxes, ImageList
from detectron2.utils.events import EventStorage

from paddlex_maskrcnn.modeling.matching import inside_crowd
from paddlex_maskrcnn.modeling.roi_heads import PaddleXRes5ROIHeads, PaddleXROIHeads

SIZE = 64
NUM_CLASSES = 5
SHAPE = {name: ShapeSpec(channels=16, stride=4 * 2**i) for i, name in enumerate(("p2", "p3"))}


@pytest.fixture
def cfg(make_cfg):
    cfg = make_cfg()
    cfg.MODEL.ROI_HEADS.IN_FEATURES = ["p2", "p3"]
    return cfg


def sample(heads, proposals, targets, seed=0):
    torch.manual_seed(seed)
    with EventStorage() as storage:
        result = heads.label_and_sample_proposals(proposals, targets)
    return result, {name: value for name, (value, _) in storage.latest().items()}


@pytest.mark.parametrize("num_objects", [0, 1, 4])
@pytest.mark.parametrize("append_gt", [True, False])
@pytest.mark.parametrize("ignore", [True, False])
def test_samples_equal_the_parent(
    num_objects, append_gt, ignore, cfg, make_targets, make_proposals
):
    """Same proposals in the same order with the same fields, and the same log values."""
    cfg.MODEL.ROI_HEADS.PROPOSAL_APPEND_GT = append_gt
    if ignore:
        cfg.MODEL.ROI_HEADS.IOU_THRESHOLDS = [0.1, 0.5]
        cfg.MODEL.ROI_HEADS.IOU_LABELS = [0, -1, 1]
    targets, proposals = [make_targets(num_objects, SIZE)], [make_proposals(90, SIZE)]
    (got,), log = sample(PaddleXROIHeads(cfg, SHAPE), proposals, targets)
    (expected,), expected_log = sample(StandardROIHeads(cfg, SHAPE), proposals, targets)
    assert log == expected_log
    assert got.get_fields().keys() == expected.get_fields().keys()
    for name, value in expected.get_fields().items():
        tensors = [getattr(v, "tensor", v) for v in (got.get(name), value)]
        assert torch.equal(*tensors), name


def test_sampler_is_told_iou_and_labels(cfg, make_targets, make_proposals):
    """The seam's contract: best IoU and label of every proposal, then the configured numbers."""
    heads = PaddleXROIHeads(cfg, SHAPE)
    seen = {}

    def take_first(max_iou, labels, *rest):
        seen.update(iou=max_iou, labels=labels, rest=rest)
        return torch.tensor([0]), torch.tensor([2, 1])

    heads.sampler = take_first
    targets, proposals = make_targets(3, SIZE), make_proposals(20, SIZE)
    (chosen,), _ = sample(heads, [proposals], [targets])
    assert torch.equal(chosen.proposal_boxes.tensor, proposals.proposal_boxes.tensor[[0, 2, 1]])
    assert seen["rest"] == (32, 0.25, NUM_CLASSES, None)
    assert len(seen["iou"]) == len(seen["labels"]) == 23
    assert seen["iou"][20:].tolist() == [1, 1, 1]
    assert torch.equal(seen["labels"][20:], targets.gt_classes)
    assert ((seen["labels"] == NUM_CLASSES) == (seen["iou"] < 0.5)).all()


def test_crowd_is_no_target_and_no_background(cfg, make_targets, make_proposals):
    """Over many samples: background mostly in a crowd never comes, all other background does."""
    torch.manual_seed(1)
    heads = PaddleXROIHeads(cfg, SHAPE)
    targets, proposals = make_targets(3, SIZE, [False, True, False]), make_proposals(60, SIZE)
    targets.gt_boxes.tensor[1] = torch.tensor([20.0, 10, 60, 60])
    crowd = Boxes(targets.gt_boxes.tensor[1:2])
    expected = background_outside(heads, proposals, targets, crowd)
    drawn = set()
    for seed in range(40):
        (chosen,), _ = sample(heads, [proposals], [targets], seed)
        assert not chosen.has("gt_crowd")
        background = chosen.proposal_boxes[chosen.gt_classes == NUM_CLASSES]
        drawn |= {tuple(box) for box in background.tensor.tolist()}
        foreground = chosen[chosen.gt_classes < NUM_CLASSES]
        assert not (foreground.gt_boxes.tensor == crowd.tensor).all(dim=1).any()
        assert not (foreground.proposal_boxes.tensor == crowd.tensor).all(dim=1).any()
    assert drawn == expected


def background_outside(heads, proposals, targets, crowd):
    """Boxes that may be drawn as background, found with Detectron2's own labels."""
    objects = targets[[0, 2]]
    objects.remove("gt_crowd")
    heads.batch_size_per_image, kept = 1000, heads.batch_size_per_image
    (everything,), _ = sample(heads, [proposals], [objects])
    heads.batch_size_per_image = kept
    background = everything.proposal_boxes[everything.gt_classes == NUM_CLASSES]
    inside = inside_crowd(background, crowd, 0.7)
    assert 0 < inside.sum() < len(background)
    return {tuple(box) for box in background.tensor[~inside].tolist()}


def test_image_of_nothing_but_a_crowd(cfg, make_targets, make_proposals):
    """Trains: the losses are finite although no proposal at all may be left to sample."""
    heads = PaddleXROIHeads(cfg, SHAPE)
    targets = make_targets(1, SIZE, [True])
    targets.gt_boxes.tensor[0] = torch.tensor([0.0, 0, SIZE, SIZE])
    features = {"p2": torch.rand(1, 16, 16, 16), "p3": torch.rand(1, 16, 8, 8)}
    images = ImageList(torch.zeros(1, 3, SIZE, SIZE), [(SIZE, SIZE)])
    proposals = make_proposals(30, SIZE)
    proposals.proposal_boxes.clip((SIZE, SIZE))
    with EventStorage():
        _, losses = heads(images, features, [proposals], [targets])
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_res5_of_basic_blocks(make_cfg):
    """ResNet18 without a pyramid: Detectron2 can only build bottlenecks here."""
    heads = PaddleXRes5ROIHeads(make_cfg(fpn=False), {"res4": ShapeSpec(channels=256, stride=16)})
    assert [type(block) for block in heads.res5] == [BasicBlock, BasicBlock]
    assert heads.res5(torch.zeros(2, 256, 14, 14)).shape == (2, 512, 7, 7)
    assert heads.box_predictor.cls_score.in_features == 512


@pytest.mark.parametrize(("depth", "channels"), [(18, 512), (50, 2048)])
def test_res5_of_variant_d(depth, channels, make_cfg):
    """Its shortcut has no stride: an average pool before it has."""
    cfg = make_cfg(False, depth)
    cfg.MODEL.RESNETS.VARIANT = "d"
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = channels // 8
    heads = PaddleXRes5ROIHeads(cfg, {"res4": ShapeSpec(channels=channels // 2, stride=16)})
    assert heads.res5(torch.zeros(1, channels // 2, 14, 14)).shape == (1, channels, 7, 7)
    assert heads.res5[0].shortcut.stride == (1, 1)


@pytest.mark.parametrize(("norm", "num_trainable"), [("FrozenBN", 5), ("BN", 15)])
def test_res5_follows_the_norm(norm, num_trainable, make_cfg):
    """Five convolutions, and with a live norm a scale and a shift for each."""
    cfg = make_cfg(fpn=False)
    cfg.MODEL.RESNETS.NORM = norm
    heads = PaddleXRes5ROIHeads(cfg, {"res4": ShapeSpec(channels=256, stride=16)})
    assert len(list(heads.res5.parameters())) == num_trainable


@pytest.mark.parametrize("key", ["SAMPLER", "NMS"])
def test_unknown_choice_names_key_value_and_choices(key, cfg):
    cfg.MODEL.ROI_HEADS[key] = "none_such"
    with pytest.raises(ValueError, match=rf"MODEL.ROI_HEADS.{key} is 'none_such'.*(random|hard)_"):
        PaddleXROIHeads(cfg, SHAPE)
