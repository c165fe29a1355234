"""Detectors of other libraries predict here what they predict there."""

from dataclasses import replace

import pytest
import torch
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.ops import FrozenBatchNorm2d

from paddlex_maskrcnn.config.schema import ModelParams
from paddlex_maskrcnn.data.transforms import Compose
from paddlex_maskrcnn.data.transforms.color import Normalize
from paddlex_maskrcnn.engine.setup import choose_input_format
from paddlex_maskrcnn.inference.network import ModelCard, build_network, detectron2_cfg
from paddlex_maskrcnn.modeling.conventions import InclusiveROIAlign
from paddlex_maskrcnn.weights.input_format import PADDLEX_RGB, TORCHVISION_RGB
from paddlex_maskrcnn.weights.keys.torchvision import convert_torchvision_maskrcnn
from paddlex_maskrcnn.weights.loading import WeightSource, load_all_weights
from paddlex_maskrcnn.weights.readers import as_tensors

SIZE = (96, 128)


@pytest.fixture(scope="module")
def torchvision_detector():
    """Random, but with boxes and scores that differ; frozen norms of epsilon 0, as the published one."""
    torch.manual_seed(0)
    network = maskrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=4,
        min_size=SIZE[0],
        max_size=SIZE[1],
        box_score_thresh=0.2,
        box_detections_per_img=20,
        norm_layer=lambda channels: FrozenBatchNorm2d(channels, eps=0.0),
    )
    for name, parameter in network.named_parameters():
        if "fpn.layer_blocks" in name and name.endswith("weight"):
            parameter.data /= 100
        elif any(layer in name for layer in ("bbox_pred", "cls_logits", "cls_score")):
            torch.nn.init.normal_(parameter, std=0.03)
    return network.eval()


def test_torchvision_s_mask_rcnn_predicts_the_same(torchvision_detector):
    params = ModelParams(score_threshold=0.2, keep_top_k=20, nms_threshold=0.5)
    card = ModelCard(params, ["a", "b", "c"], [1, 2, 3], TORCHVISION_RGB, pretrained=True)
    ours = build_network(card, "cpu").module.eval()
    arrays = {name: t.numpy() for name, t in torchvision_detector.state_dict().items()}
    load_all_weights(
        ours, WeightSource("x", as_tensors(convert_torchvision_maskrcnn(arrays)), TORCHVISION_RGB)
    )
    image = torch.randint(0, 256, (3, *SIZE), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        [expected] = torchvision_detector([image / 255])
        [found] = ours([{"image": image.float(), "height": SIZE[0], "width": SIZE[1]}])
    instances = found["instances"]
    assert len(instances) == len(expected["boxes"]) > 5
    torch.testing.assert_close(instances.scores, expected["scores"], atol=1e-4, rtol=0)
    torch.testing.assert_close(instances.pred_boxes.tensor, expected["boxes"], atol=1e-2, rtol=0)
    assert torch.equal(instances.pred_classes + 1, expected["labels"])
    same = instances.pred_masks == (expected["masks"][:, 0] > 0.5)
    assert same.float().mean() > 0.95, "both paste a mask of 28 x 28, torchvision into whole pixels"


@pytest.mark.parametrize("with_fpn", [True, False])
def test_paddlex_s_network(with_fpn):
    card = ModelCard(ModelParams(with_fpn=with_fpn), ["a"], [1], PADDLEX_RGB, pretrained=True)
    keys = detectron2_cfg(card).MODEL
    assert keys.ANCHOR_GENERATOR.NAME == "PaddleXAnchorGenerator"
    assert keys.ANCHOR_GENERATOR.OFFSET == 0.5
    sampling = 2 if with_fpn else 0
    for head in (keys.ROI_BOX_HEAD, keys.ROI_MASK_HEAD):
        assert head.POOLER_TYPE == "ROIAlign"
        assert sampling == head.POOLER_SAMPLING_RATIO
    heads = build_network(card, "cpu").module.roi_heads
    poolers = [heads.box_pooler, heads.mask_pooler] if with_fpn else [heads.pooler]
    for pooler in poolers:
        assert all(isinstance(one, InclusiveROIAlign) for one in pooler.level_poolers)


def test_hrnet_s_pyramid():
    for form, expected in ((PADDLEX_RGB, True), (TORCHVISION_RGB, False)):
        card = ModelCard(ModelParams(backbone="HRNet_W18"), ["a"], [1], form, pretrained=True)
        assert build_network(card, "cpu").module.backbone.align_corners is expected


def test_resnet18_projects_its_first_shortcut_only_for_paddlex():
    for form, expected in ((PADDLEX_RGB, True), (TORCHVISION_RGB, False)):
        card = ModelCard(ModelParams(backbone="ResNet18"), ["a"], [1], form, pretrained=True)
        names = build_network(card, "cpu").module.state_dict()
        assert ("backbone.bottom_up.res2.0.shortcut.weight" in names) is expected


def test_they_travel_with_the_card_and_survive_own_statistics():
    card = ModelCard(ModelParams(), ["a"], [1], PADDLEX_RGB, pretrained=True)
    assert ModelCard.from_plain(card.as_plain()).input_format == PADDLEX_RGB
    own = Compose([Normalize(mean=[0.5] * 3, std=[0.5] * 3)])
    source = WeightSource("x", {}, PADDLEX_RGB)
    form = choose_input_format(ModelParams(), own, own, source)
    assert form == replace(PADDLEX_RGB, pixel_mean=(127.5,) * 3, pixel_std=(127.5,) * 3)
