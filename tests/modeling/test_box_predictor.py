"""Detections of the box predictor against Detectron2's, its losses, and what the NMS is given."""

from __future__ import annotations

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from detectron2.utils.events import EventStorage

from paddlex_maskrcnn.modeling.box_predictor import PaddleXBoxPredictor, scores_above
from paddlex_maskrcnn.modeling.losses import ciou_loss
from paddlex_maskrcnn.modeling.nms import NMSSettings

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
    kinds = (PaddleXBoxPredictor, FastRCNNOutputLayers)
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


def test_the_nms_gets_what_is_configured(cfg, make_proposals):
    """Candidates above the score cut, clipped to the image, and the settings; its word is final."""
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.25
    cfg.MODEL.ROI_HEADS.NMS_THRESH_TEST = 0.4
    cfg.MODEL.ROI_HEADS.SOFT_NMS_SIGMA = 0.3
    predictor = PaddleXBoxPredictor(cfg, SHAPE)

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


def test_a_score_threshold_for_a_while(cfg, make_proposals):
    """Nested, and only in the block; the predictor's own threshold stays what it is."""
    predictor = PaddleXBoxPredictor(cfg, SHAPE)
    predictor.test_score_thresh = 0.9
    values, proposals = predictions(30, False), [make_proposals(30, SIZE)]

    def count():
        (detections,), _ = predictor.inference(values, proposals)
        return len(detections)

    own = count()
    with scores_above(0.0):
        everything = count()
        with scores_above(1.0):
            assert count() == 0
        assert count() == everything > own
    assert count() == own
    assert predictor.test_score_thresh == 0.9


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("kind", ["smooth_l1", "giou"])
def test_losses_equal_the_parents(agnostic, kind, cfg, make_targets, make_proposals):
    """Also with an image without objects, and with no foreground at all."""
    cfg.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG = agnostic
    cfg.MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE = kind
    values = predictions(30, agnostic)
    sampled = [make_proposals(20, SIZE), make_proposals(10, SIZE)]
    sampled[0].gt_boxes = make_targets(20, SIZE).gt_boxes
    sampled[1].gt_classes = torch.full((10,), NUM_CLASSES)
    for classes in (torch.arange(20) % (NUM_CLASSES + 1), torch.full((20,), NUM_CLASSES)):
        sampled[0].gt_classes = classes
        with EventStorage():
            ours, parents = (
                type_(cfg, SHAPE).losses(values, sampled)
                for type_ in (PaddleXBoxPredictor, FastRCNNOutputLayers)
            )
        assert {k: v.item() for k, v in ours.items()} == {k: v.item() for k, v in parents.items()}


@pytest.mark.parametrize("agnostic", [False, True])
def test_ciou_is_summed_over_the_foreground(agnostic, cfg, make_targets, make_proposals):
    """Box by box, of the deltas of each one's class, divided by the number of all proposals."""
    cfg.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG = agnostic
    cfg.MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE = "ciou"
    predictor = PaddleXBoxPredictor(cfg, SHAPE)
    _, deltas = predictions(20, agnostic)
    boxes = make_proposals(20, SIZE).proposal_boxes.tensor
    targets = make_targets(20, SIZE).gt_boxes.tensor
    classes = torch.arange(20) % (NUM_CLASSES + 1)
    total = 0.0
    for i, label in enumerate(classes.tolist()):
        if label < NUM_CLASSES:
            own = deltas[i] if agnostic else deltas[i, 4 * label : 4 * label + 4]
            moved = predictor.box2box_transform.apply_deltas(own[None], boxes[i : i + 1])
            total += ciou_loss(moved, targets[i : i + 1]).item()
    loss = predictor.box_reg_loss(boxes, targets, deltas, classes)
    assert loss.item() == pytest.approx(total / 20, rel=1e-5)
    nothing = predictor.box_reg_loss(boxes[:0], targets[:0], deltas[:0], classes[:0])
    assert nothing.item() == 0
