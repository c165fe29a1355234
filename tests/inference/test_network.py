"""Plain networks against stock Detectron2, bit for bit; accelerated ones up to rounding.

The default networks against Detectron2's own configuration files; those with parts that Detectron2
lacks (HRNet, deformable convolutions, focal loss) against Detectron2's meta-architecture, RPN and heads
around these parts.
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
from paddlex_maskrcnn.inference.detections import detect
from paddlex_maskrcnn.inference.network import ModelCard, build_network, detectron2_cfg
from paddlex_maskrcnn.weights.input_format import CAFFE_BGR, IMAGENET_RGB
from support.plain_path import plain_path
from support.seeded import seeded_weights, skip_initial_values
from support.tiny_training import SMALL

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


@pytest.fixture(
    scope="module", params=[True, pytest.param(False, marks=pytest.mark.long)], ids=["FPN", "C4"]
)
def pair(request):
    """Stock Detectron2 and our network with the same weights."""
    torch.manual_seed(0)
    stock, ours = build_model(stock_cfg(request.param)), our_network(request.param)
    for name, value in stock.state_dict().items():
        if "norm.weight" in name or "norm.running_var" in name:
            value.uniform_(0.3, 0.5)  # keeps random features in range through 50 layers
    # Small weights and no background: each foreground class has about a third of the probability, so
    # that there are detections whatever the random features are.
    predictor = stock.roi_heads.box_predictor
    torch.nn.init.normal_(predictor.cls_score.weight, std=0.05)
    predictor.cls_score.bias.data[-1] = -20
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


def test_same_detections(pair):
    stock, ours = (network.eval() for network in pair)
    inputs = batch(3)
    for sample in inputs:
        del sample["instances"]
    with torch.no_grad():
        expected = [stock([sample])[0]["instances"] for sample in inputs]
    with plain_path(ours):
        detected = detect(ours, inputs)
    for sample, objects, detections in zip(inputs, expected, detected, strict=True):
        assert len(detections) == len(objects) > 0
        boxes = torch.tensor([detection.box for detection in detections])
        assert torch.equal(boxes, objects.pred_boxes.tensor)
        assert [d.score for d in detections] == objects.scores.tolist()
        assert [d.class_index for d in detections] == objects.pred_classes.tolist()
        masks = [d.mask.dense(sample["height"], sample["width"]) for d in detections]
        # pasting in a shifted window may move a pixel over the 0.5 line
        assert (np.stack(masks) != objects.pred_masks.numpy()).mean() < 1e-5


def outputs_of(network, proposals) -> list[torch.Tensor]:
    """What the network computes before it chooses: features, RPN, classes and boxes, masks."""
    images = network.preprocess_image(batch(3))
    features = network.backbone(images.tensor)
    maps = [features[name] for name in network.proposal_generator.in_features]
    logits, deltas = network.proposal_generator.rpn_head(maps)
    heads, predictions = network.roi_heads, []
    hook = heads.box_predictor.register_forward_hook(lambda _m, _i, out: predictions.extend(out))
    heads(images, features, proposals)
    hook.remove()
    given = [
        Instances(image.image_size, pred_boxes=image.proposal_boxes, pred_classes=classes)
        for image, classes in zip(
            proposals, torch.arange(2 * PROPOSALS).view(2, -1) % 3, strict=True
        )
    ]
    masks = [image.pred_masks for image in heads.forward_with_given_boxes(features, given)]
    return [*features.values(), *logits, *deltas, *predictions, *masks]


@torch.no_grad()
def test_accelerated_outputs(pair):
    """Of the same proposals: NMS would make another choice of what rounding has changed."""
    ours = pair[1].eval()
    corner = torch.rand(2, PROPOSALS, 2, generator=torch.Generator().manual_seed(4)) * 60
    boxes = torch.cat([corner, corner + 10 + corner.flip(2) / 2], dim=2)
    sizes = [(96, 128), (128, 96)]
    proposals = [
        Instances(size, proposal_boxes=Boxes(image))
        for size, image in zip(sizes, boxes, strict=True)
    ]
    outputs = outputs_of(ours, proposals)
    with plain_path(ours):
        expected = outputs_of(ours, proposals)
    assert len(outputs) == len(expected) > 6
    for output, value in zip(outputs, expected, strict=True):
        # float32 through some 60 layers: 1e-6 of the largest value a layer at most, added up
        assert (output - value).abs().max() <= 1e-4 * value.abs().max()


PARENTS = {
    "MODEL.META_ARCHITECTURE": "GeneralizedRCNN",
    "MODEL.PROPOSAL_GENERATOR.NAME": "RPN",
    "MODEL.ROI_HEADS.NAME": "StandardROIHeads",
    "MODEL.ROI_MASK_HEAD.NAME": "MaskRCNNConvUpsampleHead",
}
PARTS = {
    "HRNet": {"backbone": "HRNet_W18"},
    "DCN": {"with_dcn": True},
    "focal": {"rpn_cls_loss": "SigmoidFocalLoss"},
}


def small_batch() -> list[dict]:
    """Two images of 64 x 64 pixels with two objects each."""
    generator = torch.Generator().manual_seed(5)
    inputs = []
    for _ in range(2):
        objects = Instances((64, 64))
        objects.gt_boxes = Boxes(torch.tensor([[4.0, 6, 30, 40], [28.0, 20, 60, 58]]))
        objects.gt_classes = torch.randint(0, 3, (2,), generator=generator)
        objects.gt_masks = BitMasks(torch.rand(2, 64, 64, generator=generator) > 0.5)
        image = torch.randint(0, 256, (3, 64, 64), generator=generator, dtype=torch.uint8)
        inputs.append({"image": image, "instances": objects, "height": 64, "width": 64})
    return inputs


def trained_once(network) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Losses and gradients."""
    torch.manual_seed(1)
    with EventStorage():
        losses = network.train()(small_batch())
    sum(losses.values()).backward()
    grads = {name: one.grad for name, one in network.named_parameters() if one.grad is not None}
    return losses, grads


@pytest.mark.parametrize("settings", PARTS.values(), ids=PARTS)
def test_plain_path_equals_the_parents_around_parts_of_ours(settings, monkeypatch):
    """Losses, gradients, detections bit for bit; the focal loss itself is tested in test_focal_rpn."""
    monkeypatch.setenv("PADDLEX_MASKRCNN_PLAIN", "1")
    params = ModelParams(**{**SMALL, "score_threshold": 0.001, **settings})
    card = ModelCard(params, LABELS, [1, 2, 3], IMAGENET_RGB, pretrained=False)
    cfg = detectron2_cfg(card).clone()
    cfg.defrost()
    cfg.merge_from_list([part for pair in PARENTS.items() for part in pair])
    skip_initial_values(monkeypatch)
    stock, ours = build_model(cfg), build_network(card, "cpu").module
    weights = seeded_weights({name: one.shape for name, one in stock.state_dict().items()})
    stock.load_state_dict(weights)
    ours.load_state_dict(weights)
    expected, losses = trained_once(stock), trained_once(ours)
    focal = params.rpn_cls_loss == "SigmoidFocalLoss"
    own = {"loss_rpn_cls", "loss_rpn_loc"} if focal else set()
    assert losses[0].keys() == expected[0].keys()
    for name in expected[0].keys() - own:
        assert torch.equal(losses[0][name], expected[0][name]), name
    heads = [name for name in expected[1] if not focal or name.startswith("roi_heads.")]
    assert len(heads) > 5
    for name in heads:
        assert torch.equal(losses[1][name], expected[1][name]), name
    with torch.no_grad():
        pairs = zip(ours.eval()(small_batch()), stock.eval()(small_batch()), strict=True)
    for mine, theirs in pairs:
        mine, theirs = mine["instances"], theirs["instances"]
        assert len(mine) == len(theirs) > 0
        assert torch.equal(mine.pred_boxes.tensor, theirs.pred_boxes.tensor)
        for name in ("scores", "pred_classes", "pred_masks"):
            assert torch.equal(mine.get(name), theirs.get(name)), name
