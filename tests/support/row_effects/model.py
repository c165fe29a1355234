"""Cases of the rows of `ModelParams`: the built network and what comes out of its parts.

Two networks hold most of the values. Their parts are fed by hand, through Detectron2's own methods,
so that no result depends on random weights.
"""

from __future__ import annotations

import math
from unittest import mock

import pytest
import torch
from detectron2.modeling import GeneralizedRCNN
from detectron2.structures import Boxes, ImageList, Instances, pairwise_iou
from detectron2.utils.events import EventStorage
from torch import nn

from paddlex_maskrcnn.config.schema import ModelParams
from support.untrained import build_untrained

from .laboratory import Laboratory, shared, shows
from .train import single_step

SIZE = 64
FPN = {
    "backbone": "ResNet18",
    "aspect_ratios": [0.25, 4.0],
    "anchor_sizes": [6, 12, 24, 48, 96],
    "rpn_cls_loss": "SigmoidFocalLoss",
    "rpn_focal_loss_alpha": 0.4,
    "rpn_focal_loss_gamma": 1.0,
    "rcnn_bbox_loss": "CIoULoss",
    "keep_top_k": 3,
    "nms_threshold": 0.8,
    "score_threshold": 0.3,
    "bbox_assigner": "LibraBBoxAssigner",
    "fpn_num_channels": 8,
    "rpn_batch_size_per_im": 12,
    "rpn_fg_fraction": 0.25,
    "test_pre_nms_top_n": 1,
    "test_post_nms_top_n": 3,
    "rcnn_batch_size_per_im": 32,
    "rcnn_fg_fraction": 0.5,
    "train_pre_nms_top_n": 2,
    "train_post_nms_top_n": 7,
    "norm": "GN",
    "freeze_at": 3,
    "gradient_checkpointing": True,
}
C4 = {
    "backbone": "ResNet18",
    "with_fpn": False,
    "with_dcn": True,
    "rpn_cls_loss": "SigmoidFocalLoss",
    "rpn_focal_loss_on": "all",
    "rpn_batch_size_per_im": 16,
    "rcnn_nms": "MultiClassSoftNMS",
    "softnms_sigma": 0.25,
}
OBJECTNESS = 0.7  # logit of every anchor


@shared
def fpn(lab: Laboratory) -> GeneralizedRCNN:
    """A pyramid network whose rows nearly all have values of their own."""
    return build_untrained(**FPN).module


@shared
def c4(lab: Laboratory) -> GeneralizedRCNN:
    """A network without pyramid, with the values that exclude those of `fpn`."""
    return build_untrained(**C4).module


def image() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(1, 3, SIZE, SIZE)


def features_of(network: GeneralizedRCNN) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return network.backbone(image())


# What the network is


@shows(ModelParams, "backbone")
def backbone_is_the_one_named(lab: Laboratory) -> None:
    stages = fpn(lab).backbone.bottom_up.output_shape()
    assert stages["res5"].channels == 512  # 2048 in ResNet50
    assert (
        sum(isinstance(layer, nn.Conv2d) for layer in fpn(lab).backbone.bottom_up.modules()) == 20
    )


@shows(ModelParams, "with_fpn")
def without_fpn_there_is_one_map(lab: Laboratory) -> None:
    assert {name: tuple(level.shape[-2:]) for name, level in features_of(c4(lab)).items()} == {
        "res4": (SIZE // 16, SIZE // 16)
    }


@shows(ModelParams, "fpn_num_channels")
def pyramid_has_so_many_channels(lab: Laboratory) -> None:
    assert {level.shape[1] for level in features_of(fpn(lab)).values()} == {8}


@shows(ModelParams, "with_dcn")
def offsets_move_what_convolutions_see(lab: Laboratory) -> None:
    """Offsets of one pixel, instead of the zeros they start with, change the features."""
    offsets = [name for name, _ in c4(lab).named_parameters() if "offset" in name]
    assert {name.split(".")[1] for name in offsets} == {"res3", "res4"}
    parameters = dict(c4(lab).named_parameters())
    before = features_of(c4(lab))["res4"]
    bias = parameters[next(name for name in offsets if name.endswith("bias"))]
    with torch.no_grad():
        bias[: len(bias) * 2 // 3] += 1  # the last third is the modulation
        after = features_of(c4(lab))["res4"]
        bias[: len(bias) * 2 // 3] -= 1
    assert not torch.allclose(before, after)


@shows(ModelParams, "norm")
def group_norm_sees_one_image(lab: Laboratory) -> None:
    """With live batch statistics the features of an image depend on the others of its batch."""
    norms = [
        layer for layer in fpn(lab).backbone.bottom_up.modules() if "Norm" in type(layer).__name__
    ]
    assert norms
    assert all(isinstance(layer, nn.GroupNorm) for layer in norms)
    pair = torch.cat([image(), 5 * image() + 3])
    with torch.no_grad():
        alone, together = fpn(lab).backbone(pair[:1]), fpn(lab).backbone(pair)
    torch.testing.assert_close(together["p2"][:1], alone["p2"], rtol=1e-3, atol=1e-3)


@shows(ModelParams, "freeze_at", "gradient_checkpointing")
def backward_pass_of_the_backbone(lab: Laboratory) -> None:
    """freeze_at 3 trains res4 and later only; a checkpointed block runs twice."""
    bottom_up, calls = fpn(lab).backbone.bottom_up, []
    with bottom_up.res4[0].register_forward_pre_hook(lambda *_: calls.append(1)):
        fpn(lab).backbone(image())["p5"].sum().backward()
    trained = {
        name.split(".")[0]
        for name, weight in bottom_up.named_parameters()
        if weight.grad is not None
    }
    fpn(lab).zero_grad()
    assert trained == {"res4", "res5"}
    assert len(calls) == 2


@shows(ModelParams, "num_classes")
def number_of_classes_is_compared_with_the_data(lab: Laboratory) -> None:
    assert lab.refusal({"num_classes": 3}).startswith("num_classes is 3, but ")
    right = len(lab.material.train_data.labels) + 1
    assert lab.refusal({"num_classes": right}) == ""


@shows(ModelParams, "device")
def device_is_the_one_asked_for(lab: Laboratory) -> None:
    with mock.patch("torch.cuda.is_available", return_value=False):
        assert "torch sees no GPU here" in lab.refusal({"device": "cuda"})


@shows(ModelParams, "input_channel")
def network_reads_so_many_channels(lab: Laboratory) -> None:
    _, watch, _ = single_step(lab)
    assert {len(sample["image"]) for batch in watch.batches for sample in batch} == {1}


# Anchors and proposals


@shows(ModelParams, "aspect_ratios")
def anchors_have_these_ratios(lab: Laboratory) -> None:
    for sides in anchor_sides(fpn(lab)):
        assert sorted((sides[:, 1] / sides[:, 0]).tolist()) == pytest.approx([0.25, 4.0], rel=1e-3)


@shows(ModelParams, "anchor_sizes")
def anchors_have_these_sizes(lab: Laboratory) -> None:
    sizes = [float(sides[0].prod().sqrt()) for sides in anchor_sides(fpn(lab))]
    assert sizes == pytest.approx(FPN["anchor_sizes"], rel=1e-3)


def anchor_sides(network: GeneralizedRCNN) -> list[torch.Tensor]:
    """Width and height of the anchors of a level's first cell, (A, 2) each."""
    rpn, maps = network.proposal_generator, list(features_of(network).values())
    counts = rpn.anchor_generator.num_anchors
    anchors = [boxes.tensor for boxes in rpn.anchor_generator(maps)]
    return [boxes[:num, 2:] - boxes[:num, :2] for boxes, num in zip(anchors, counts, strict=True)]


@shows(ModelParams, "test_pre_nms_top_n", "test_post_nms_top_n")
def proposals_when_predicting(lab: Laboratory) -> None:
    """One of each level enters the NMS, though the best are all of the first; three are kept."""
    assert proposals_of_levels(fpn(lab).eval()) == [1, 1, 1, 0, 0]


@shows(ModelParams, "train_pre_nms_top_n", "train_post_nms_top_n")
def proposals_when_training(lab: Laboratory) -> None:
    assert proposals_of_levels(fpn(lab).train()) == [2, 2, 2, 1, 0]


def proposals_of_levels(network: GeneralizedRCNN) -> list[int]:
    """How many proposals come from each level when a lower level always scores higher.

    The maps have eight cells a side on each level and anchors that cover less than a stride, so that no
    two of a level overlap enough for the NMS, and none of different levels.
    """
    rpn = network.proposal_generator
    maps = [torch.zeros(1, 8, 8, 8) for _ in range(5)]
    anchors = rpn.anchor_generator(maps)
    logits = [
        5.0 - level + torch.linspace(0.5, 0, len(boxes))[None]
        for level, boxes in enumerate(anchors)
    ]
    deltas = [torch.zeros(1, len(boxes), 4) for boxes in anchors]
    (proposals,) = rpn.predict_proposals(anchors, logits, deltas, [(2000, 2000)])
    network.train()
    levels = (5.5 - proposals.objectness_logits).floor().clamp(max=4)
    return [int((levels == level).sum()) for level in range(5)]


# What the first stage learns


@shows(
    ModelParams,
    "rpn_cls_loss", "rpn_focal_loss_alpha", "rpn_focal_loss_gamma", "rpn_batch_size_per_im",
    "rpn_fg_fraction",
)  # fmt: skip
def objectness_loss_of_the_sample(lab: Laboratory) -> None:
    """Of 12 anchors 3 at most are positive; the loss is that of the focal loss's formula."""
    loss, labels = objectness_loss(fpn(lab))
    assert (int((labels == 1).sum()), int((labels == 0).sum())) == (3, 9)
    assert loss == pytest.approx(focal(3, 9, alpha=0.4, gamma=1.0), rel=1e-4)


@shows(ModelParams, "rpn_focal_loss_on")
def objectness_loss_of_all_anchors(lab: Laboratory) -> None:
    """Anchors that overlap an object by less than 0.3 are background, from 0.7 on they are objects."""
    loss, _ = objectness_loss(c4(lab))
    anchors = c4(lab).proposal_generator.anchor_generator(list(features_of(c4(lab)).values()))
    overlap = pairwise_iou(objects(anchors).gt_boxes, Boxes.cat(anchors)).amax(dim=0)
    positives, negatives = int((overlap >= 0.7).sum()), int((overlap < 0.3).sum())
    assert negatives > C4["rpn_batch_size_per_im"]
    assert loss == pytest.approx(focal(positives, negatives, alpha=0.25, gamma=2.0), rel=1e-4)


def objectness_loss(network: GeneralizedRCNN) -> tuple[float, torch.Tensor]:
    """`loss_rpn_cls` when every anchor has the same logit, and the labels of the sampled anchors."""
    rpn = network.train().proposal_generator
    for output in (rpn.rpn_head.objectness_logits, rpn.rpn_head.anchor_deltas):
        nn.init.zeros_(output.weight)
        nn.init.zeros_(output.bias)
    nn.init.constant_(rpn.rpn_head.objectness_logits.bias, OBJECTNESS)
    maps = features_of(network)
    anchors = rpn.anchor_generator([maps[name] for name in rpn.in_features])
    targets = [objects(anchors)]
    with EventStorage():
        _, losses = rpn(ImageList(image(), [(SIZE, SIZE)]), maps, targets)
        (labels,), _ = rpn.label_and_sample_anchors(anchors, targets)
    return losses["loss_rpn_cls"].item(), labels


def objects(anchors: list[Boxes]) -> Instances:
    """Five objects that are anchors themselves, so that there are at least five positive ones."""
    inside = [boxes.tensor[boxes.inside_box((SIZE, SIZE))] for boxes in anchors]
    boxes = torch.cat(inside)
    targets = Instances((SIZE, SIZE))
    targets.gt_boxes = Boxes(boxes[torch.linspace(0, len(boxes) - 1, 5).long()])
    targets.gt_classes = torch.zeros(5, dtype=torch.long)
    return targets


def focal(positives: int, negatives: int, alpha: float, gamma: float) -> float:
    """Equation 5 of the paper (arXiv 1708.02002) for one logit, divided by the positives."""
    chance = 1 / (1 + math.exp(-OBJECTNESS))
    of_positive = alpha * (1 - chance) ** gamma * -math.log(chance)
    of_negative = (1 - alpha) * chance**gamma * -math.log(1 - chance)
    return (positives * of_positive + negatives * of_negative) / positives


# What the second stage learns


@shows(ModelParams, "rcnn_batch_size_per_im", "rcnn_fg_fraction")
def second_stage_learns_from_so_many(lab: Laboratory) -> None:
    labels, _ = sampled_proposals(fpn(lab))
    assert (len(labels), int((labels == 0).sum())) == (32, 16)


@shows(ModelParams, "bbox_assigner")
def hard_background_is_drawn_as_often(lab: Laboratory) -> None:
    """20 of 420 background proposals overlap the object: of 16 sampled a random choice takes one."""
    labels, overlaps = sampled_proposals(fpn(lab))
    hard = overlaps[labels != 0] > 0.1
    assert int(hard.sum()) >= 2 * (len(hard) // 3) > 0


def sampled_proposals(network: GeneralizedRCNN) -> tuple[torch.Tensor, torch.Tensor]:
    """Classes and overlaps of the sample from 40 good, 20 middling and 400 bad proposals."""
    target = torch.tensor([[0.0, 0, 20, 20]])
    shift = torch.cat([torch.full((40,), 1.0), torch.full((10,), 9.0), torch.full((10,), 12.0)])
    boxes = torch.cat([target.repeat(60, 1) + shift[:, None] * torch.tensor([1.0, 0, 1, 0]),
                       (target + 30).repeat(400, 1)])  # fmt: skip
    proposals, targets = Instances((SIZE, SIZE)), Instances((SIZE, SIZE))
    proposals.proposal_boxes = Boxes(boxes)
    proposals.objectness_logits = torch.zeros(len(boxes))
    targets.gt_boxes, targets.gt_classes = Boxes(target), torch.zeros(1, dtype=torch.long)
    torch.manual_seed(0)
    with EventStorage():
        (sample,) = network.train().roi_heads.label_and_sample_proposals([proposals], [targets])
    return sample.gt_classes, pairwise_iou(sample.proposal_boxes, Boxes(target))[:, 0]


@shows(ModelParams, "rcnn_bbox_loss")
def box_loss_of_a_box_four_times_too_large(lab: Laboratory) -> None:
    """Same centre and shape: what is left of the CIoU loss is 1 - IoU, with PaddleX's weight of 10."""
    proposals = Instances((SIZE, SIZE))
    proposals.proposal_boxes = Boxes(torch.tensor([[0.0, 0, 40, 40]]))
    proposals.gt_boxes = Boxes(torch.tensor([[10.0, 10, 30, 30]]))
    proposals.gt_classes = torch.zeros(1, dtype=torch.long)
    predictor = fpn(lab).train().roi_heads.box_predictor
    with EventStorage():
        losses = predictor.losses(predictions([0.5], predictor.num_classes), [proposals])
    assert losses["loss_box_reg"].item() == pytest.approx(10 * (1 - 0.25), rel=1e-4)


# Detections


@shows(ModelParams, "score_threshold")
def low_scores_are_dropped(lab: Laboratory) -> None:
    assert detected(fpn(lab), apart(2), [0.4, 0.2]) == pytest.approx([0.4], abs=1e-4)


@shows(ModelParams, "keep_top_k")
def so_many_are_kept(lab: Laboratory) -> None:
    scores = [0.5, 0.9, 0.6, 0.8, 0.7]
    assert detected(fpn(lab), apart(5), scores) == pytest.approx([0.9, 0.8, 0.7], abs=1e-4)


@shows(ModelParams, "nms_threshold")
def overlap_below_the_threshold_survives(lab: Laboratory) -> None:
    """An IoU of 2/3 lies between the default and this value."""
    assert len(detected(fpn(lab), OVERLAPPING, [0.9, 0.8])) == 2


@shows(ModelParams, "rcnn_nms", "softnms_sigma")
def soft_nms_lowers_the_score(lab: Laboratory) -> None:
    lowered = 0.8 * math.exp(-((2 / 3) ** 2) / 0.25)
    assert detected(c4(lab), OVERLAPPING, [0.9, 0.8]) == pytest.approx([0.9, lowered], abs=1e-4)


OVERLAPPING = torch.tensor([[0.0, 0, 20, 30], [0, 0, 20, 20]])


def apart(num: int) -> torch.Tensor:
    left = torch.arange(num) * 12.0
    return torch.stack([left, torch.zeros(num), left + 10, torch.full((num,), 10.0)], dim=1)


def detected(network: GeneralizedRCNN, boxes: torch.Tensor, scores: list[float]) -> list[float]:
    """Scores of the detections from proposals that have these scores for the first class."""
    proposals = Instances((SIZE, SIZE))
    proposals.proposal_boxes = Boxes(boxes)
    predictor = network.eval().roi_heads.box_predictor
    (detections,), _ = predictor.inference(predictions(scores, predictor.num_classes), [proposals])
    network.train()
    return detections.scores.tolist()


def predictions(scores: list[float], num_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of proposals for the first class and background, and deltas that move nothing."""
    chance = torch.tensor(scores)
    logits = torch.full((len(scores), num_classes + 1), -30.0)
    logits[:, 0], logits[:, -1] = chance.log(), (1 - chance).log()
    return logits, torch.zeros(len(scores), 4 * num_classes)
