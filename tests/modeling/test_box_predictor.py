"""Detections of the box predictor against Detectron2's, and what the NMS seam is told."""

from __future__ import annotations

import contextlib

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from detectron2.utils.events import EventStorage

from paddlex_maskrcnn.modeling.box_predictor import SeamBoxPredictor
from paddlex_maskrcnn.modeling.fast_path import plain_path
from paddlex_maskrcnn.modeling.nms.settings import NMSSettings

SIZE = 64
NUM_CLASSES = 5
SHAPE = ShapeSpec(channels=8)


@pytest.fixture
def cfg(make_cfg):
    return make_cfg()


def predictions(num, agnostic, seed=0):
    torch.manual_seed(seed)
    return torch.randn(num, NUM_CLASSES + 1), torch.randn(num, 4 if agnostic else 4 * NUM_CLASSES)


def assert_same(got, expected):
    for mine, theirs in zip(got[0], expected[0], strict=True):
        assert mine.image_size == theirs.image_size
        assert torch.equal(mine.pred_boxes.tensor, theirs.pred_boxes.tensor)
        assert torch.equal(mine.scores, theirs.scores)
        assert torch.equal(mine.pred_classes, theirs.pred_classes)
    for mine, theirs in zip(got[1], expected[1], strict=True):
        assert torch.equal(mine, theirs)


def infer_both(cfg, values, proposals):
    kinds = (SeamBoxPredictor, FastRCNNOutputLayers)
    return [kind(cfg, SHAPE).inference(values, proposals) for kind in kinds]


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("top_k", [-1, 0, 7, 1000])
@pytest.mark.parametrize("threshold", [0.0, 0.2, 1.0])
def test_equals_the_parent(agnostic, top_k, threshold, cfg, make_proposals):
    cfg.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG = agnostic
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = threshold
    cfg.TEST.DETECTIONS_PER_IMAGE = top_k
    proposals = [make_proposals(num, SIZE) for num in (40, 0, 25)]
    assert_same(*infer_both(cfg, predictions(65, agnostic), proposals))


@pytest.mark.parametrize("bad", [[3], range(20)])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_rows_that_are_not_finite_are_dropped_as_in_the_parent(bad, value, cfg, make_proposals):
    proposals = [make_proposals(20, SIZE)]
    for part in range(2):
        values = predictions(20, False)
        values[part][list(bad), 0] = value
        got, expected = infer_both(cfg, values, proposals)
        assert_same(got, expected)
        assert (len(got[0][0]) > 0) == (len(bad) == 1)


def test_the_nms_is_told_what_is_configured(cfg, make_proposals):
    """Candidates above the score cut, clipped to the image, and the settings; its word is final."""
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.25
    cfg.MODEL.ROI_HEADS.NMS_THRESH_TEST = 0.4
    cfg.MODEL.ROI_HEADS.SOFT_NMS_SIGMA = 0.3
    predictor = SeamBoxPredictor(cfg, SHAPE)

    def keep_two(boxes, scores, classes, settings):
        assert settings == NMSSettings(0.4, 0.25, 0.3, 20)
        assert boxes.shape == (len(scores), 4)
        assert (boxes >= 0).all()
        assert (boxes <= SIZE).all()
        assert (scores > 0.25).all()
        keep_two.boxes, keep_two.classes = boxes, classes
        return torch.tensor([3, 0]), torch.tensor([0.8, 0.1])

    predictor.nms = keep_two
    (found,), (rows,) = predictor.inference(predictions(30, False), [make_proposals(30, SIZE)])
    assert torch.equal(found.pred_boxes.tensor, keep_two.boxes[[3, 0]])
    assert torch.equal(found.pred_classes, keep_two.classes[[3, 0]])
    assert torch.equal(found.scores, torch.tensor([0.8, 0.1]))
    assert rows.shape == (2,)


def assert_same_on(device, values, expected, cfg, proposals):
    """What the device's way finds in the whole batch."""
    there = [one.to(device) for one in values]
    found = SeamBoxPredictor(cfg, SHAPE).inference(there, [one.to(device) for one in proposals])
    assert_same(([one.to("cpu") for one in found[0]], [one.cpu() for one in found[1]]), expected)
    for one in found[0]:
        known = one.pred_boxes.on_host
        assert torch.equal(known, one.pred_boxes.tensor.cpu())


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("top_k", [-1, 0, 7, 1000])
@pytest.mark.parametrize("threshold", [0.0, 0.2, 1.0])
def test_a_batch_at_once_equals_image_by_image(
    agnostic, top_k, threshold, cfg, make_proposals, device
):
    """The middle image has no proposals, another one some that are not finite."""
    cfg.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG = agnostic
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = threshold
    cfg.TEST.DETECTIONS_PER_IMAGE = top_k
    proposals = [make_proposals(num, SIZE) for num in (40, 0, 25)]
    values = predictions(65, agnostic)
    values[0][50, 0] = float("nan")
    expected = SeamBoxPredictor(cfg, SHAPE).inference(values, proposals)
    assert_same_on(device, values, expected, cfg, proposals)


def test_too_many_candidates_for_one_call(cfg, make_proposals, device, monkeypatch):
    monkeypatch.setattr("paddlex_maskrcnn.modeling.batch_detection.MOST_BOXES", 10)
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.0
    proposals, values = [make_proposals(40, SIZE)], predictions(40, False)
    predictor = SeamBoxPredictor(cfg, SHAPE)
    (expected,), _ = predictor.inference(values, proposals)
    there = [one.to(device) for one in values]
    (found,), _ = predictor.inference(there, [one.to(device) for one in proposals])
    assert torch.equal(found.scores.cpu(), expected.scores)


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("kind", ["smooth_l1", "ciou", "giou"])
def test_losses_equal_those_of_the_plain_path(agnostic, kind, cfg, make_targets, make_proposals):
    """Also with an image without objects, and with no foreground at all."""
    cfg.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG = agnostic
    cfg.MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE = kind
    predictor, values = SeamBoxPredictor(cfg, SHAPE), predictions(30, agnostic)
    sampled = [make_proposals(20, SIZE), make_proposals(10, SIZE)]
    sampled[0].gt_boxes = make_targets(20, SIZE).gt_boxes
    sampled[1].gt_classes = torch.full((10,), NUM_CLASSES)
    for classes in (torch.arange(20) % (NUM_CLASSES + 1), torch.full((20,), NUM_CLASSES)):
        sampled[0].gt_classes = classes
        found, expected = losses_both_ways(predictor, values, sampled)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def losses_both_ways(predictor, values, sampled):
    """Losses and gradients of the predictions, on the fast and on the plain path."""
    results = []
    for way in (contextlib.nullcontext, plain_path):
        leaves = [one.clone().requires_grad_() for one in values]
        with way(), EventStorage():
            losses = predictor.losses(leaves, sampled)
        sum(losses.values()).backward()
        grads = dict(zip("sd", (one.grad for one in leaves), strict=True))
        results.append({name: one.detach() for name, one in losses.items()} | grads)
    return results
