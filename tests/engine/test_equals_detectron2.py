"""The default network against stock Detectron2 built from Detectron2's own configuration files.

Plain bit for bit; accelerated, which is the default, up to rounding.
"""

from contextlib import nullcontext
from pathlib import Path

import detectron2
import numpy as np
import pytest
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import build_model
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage

from paddlex_maskrcnn.config.schema import ModelParams
from paddlex_maskrcnn.engine.inference import detect
from paddlex_maskrcnn.engine.network import ModelCard, build_network
from paddlex_maskrcnn.weights.input_format import CAFFE_BGR
from support.plain_path import plain_path

ZOO = Path(detectron2.__file__).parent / "model_zoo" / "configs" / "COCO-InstanceSegmentation"
LABELS = ["a", "b", "c"]
PROPOSALS, DETECTIONS = 40, 20  # without FPN a ResNet stage runs on each
REGIONS = {True: 512, False: 64}  # sampled in training, with and without FPN


def stock_cfg(with_fpn: bool) -> CfgNode:
    """Detectron2's own recipe, with PaddleX's constants where they differ."""
    cfg = get_cfg()
    cfg.merge_from_file(str(ZOO / f"mask_rcnn_R_50_{'FPN' if with_fpn else 'C4'}_1x.yaml"))
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", len(LABELS)])
    cfg.merge_from_list(
        ["MODEL.RPN.SMOOTH_L1_BETA", 1 / 9, "MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA", 1.0]
    )
    cfg.merge_from_list(["MODEL.RPN.POST_NMS_TOPK_TRAIN", 2000])
    cfg.merge_from_list(["MODEL.RPN.POST_NMS_TOPK_TEST", PROPOSALS])
    cfg.merge_from_list(["TEST.DETECTIONS_PER_IMAGE", DETECTIONS])
    cfg.merge_from_list(["MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", REGIONS[with_fpn]])
    if with_fpn:
        return cfg
    cfg.merge_from_list(
        ["MODEL.RPN.PRE_NMS_TOPK_TRAIN", 12000, "MODEL.RPN.PRE_NMS_TOPK_TEST", 6000]
    )
    return cfg


def our_network(with_fpn: bool):
    sizes = [32, 64, 128, 256, 512]
    params = ModelParams(
        backbone="ResNet50",
        with_fpn=with_fpn,
        anchor_sizes=sizes,
        test_post_nms_top_n=PROPOSALS,
        keep_top_k=DETECTIONS,
        rcnn_batch_size_per_im=REGIONS[with_fpn],
    )
    card = ModelCard(params, LABELS, [1, 2, 3], CAFFE_BGR, pretrained=True)
    return build_network(card, "cpu").module


def batch(seed: int) -> list[dict]:
    generator = torch.Generator().manual_seed(seed)
    inputs = []
    for height, width in ((96, 128), (128, 96)):
        corner = torch.rand(4, 2, generator=generator) * 40
        size = 20 + torch.rand(4, 2, generator=generator) * 30
        objects = Instances((height, width))
        objects.gt_boxes = Boxes(torch.cat([corner, corner + size], dim=1))
        objects.gt_classes = torch.randint(0, 3, (4,), generator=generator)
        objects.gt_masks = BitMasks(torch.rand(4, height, width, generator=generator) > 0.5)
        image = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
        inputs.append(
            {"image": image, "instances": objects, "height": height * 2, "width": width * 2}
        )
    return inputs


@pytest.fixture(scope="module", params=[True, False], ids=["FPN", "C4"])
def pair(request):
    """Stock Detectron2 and our network with the same weights."""
    torch.manual_seed(0)
    stock, ours = build_model(stock_cfg(request.param)), our_network(request.param)
    for name, value in stock.state_dict().items():
        if "norm.weight" in name or "norm.running_var" in name:
            value.uniform_(0.3, 0.5)  # keeps random features in range through 50 layers
    torch.nn.init.normal_(stock.roi_heads.box_predictor.cls_score.weight, std=0.05)
    ours.load_state_dict(stock.state_dict())
    return stock, ours


def losses_of(network, path) -> dict[str, float]:
    torch.manual_seed(1)
    with EventStorage(), path(network):
        losses = network.train()(batch(2))
    return {name: loss.item() for name, loss in losses.items()}


@pytest.mark.parametrize(("path", "tolerance"), [(plain_path, 0), (nullcontext, 1e-5)])
def test_same_losses(pair, path, tolerance, monkeypatch):
    """Accelerated with the same proposals: rounding may let NMS keep another one of two."""
    stock, ours = pair
    proposals, propose = [], stock.proposal_generator.predict_proposals

    def remember(*arguments):
        proposals[:] = propose(*arguments)
        return proposals

    monkeypatch.setattr(stock.proposal_generator, "predict_proposals", remember)
    expected = losses_of(stock, nullcontext)
    if tolerance:
        monkeypatch.setattr(ours.proposal_generator, "predict_proposals", lambda *_: proposals)
    assert losses_of(ours, path) == pytest.approx(expected, rel=tolerance, abs=0)
    assert all(np.isfinite(list(expected.values())))


@pytest.mark.parametrize(("path", "pixels"), [(plain_path, 0), (nullcontext, 1e-2)])
def test_same_detections(pair, path, pixels):
    stock, ours = (network.eval() for network in pair)
    inputs = batch(3)
    for one in inputs:
        del one["instances"]
    with torch.no_grad():
        expected = [stock([one])[0]["instances"] for one in inputs]
    with path(ours):
        detected = detect(ours, inputs)
    for one, objects, found in zip(inputs, expected, detected, strict=True):
        assert len(found) == len(objects) > 0
        boxes = torch.tensor([detection.box for detection in found])
        assert (boxes - objects.pred_boxes.tensor).abs().max() <= pixels
        scores = objects.scores.tolist()
        assert [d.score for d in found] == pytest.approx(scores, rel=pixels / 10, abs=0)
        assert [d.class_index for d in found] == objects.pred_classes.tolist()
        masks = np.stack([d.mask.dense(one["height"], one["width"]) for d in found])
        different = (masks != objects.pred_masks.numpy()).mean()
        # pasting in a shifted window, and rounding before it, may move a pixel over the 0.5 line
        assert different < (1e-4 if pixels else 1e-5)
