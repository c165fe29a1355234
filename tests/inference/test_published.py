"""`coco:BACKBONE`: a published detector as a model."""

import re
from pathlib import Path

import detectron2
import numpy as np
import pytest
import torch
from detectron2.config import get_cfg
from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES
from detectron2.modeling import build_model
from detectron2.structures import Boxes

from paddlex_maskrcnn import load_model
from paddlex_maskrcnn.data.transforms import Compose, Normalize, ResizeByShort
from paddlex_maskrcnn.inference import published
from paddlex_maskrcnn.weights.catalogue import COCO_LABELS
from paddlex_maskrcnn.weights.input_format import CAFFE_BGR
from paddlex_maskrcnn.weights.loading import WeightSource

ZOO = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"


def test_classes_and_ids_are_detectron2s():
    things = [entry for entry in COCO_CATEGORIES if entry["isthing"]]
    assert [entry["id"] for entry in things] == published.COCO_IDS
    assert [entry["name"] for entry in things] == list(COCO_LABELS)


@pytest.fixture(scope="module")
def parent():
    """Detectron2's own network of the model zoo, with random weights."""
    torch.manual_seed(0)
    cfg = get_cfg()
    cfg.merge_from_file(str(Path(detectron2.__file__).parent / "model_zoo/configs" / ZOO))
    cfg.MODEL.DEVICE = "cpu"
    return build_model(cfg).eval()


@pytest.fixture
def model(parent, monkeypatch):
    state = parent.state_dict()
    source = WeightSource("the zoo's file", state, CAFFE_BGR, COCO_LABELS)
    monkeypatch.setattr(published, "open_weights", lambda kind, backbone: source)
    return load_model("coco:ResNet50")


def outputs(network, image, boxes):
    """All that the network computes before anything is chosen, for boxes that are given."""
    images = network.preprocess_image([{"image": image}])
    features = network.backbone(images.tensor)
    scores, deltas = network.proposal_generator.rpn_head(list(features.values()))
    heads = network.roi_heads
    inputs = [features[name] for name in heads.box_in_features]
    classes, refined = heads.box_predictor(heads.box_head(heads.box_pooler(inputs, [Boxes(boxes)])))
    masks = heads.mask_head.layers(heads.mask_pooler(inputs, [Boxes(boxes)]))
    return [*features.values(), *scores, *deltas, classes, refined, masks]


def test_it_is_the_network_of_the_model_zoo(parent, model):
    """The same weights compute the same, and what is chosen is chosen by the same rules."""
    image = torch.randint(0, 256, (3, 96, 128)).float()
    corners = torch.rand(9, 2) * 60
    boxes = torch.cat([corners, corners + 8 + torch.rand(9, 2) * 30], dim=1)
    own = model.network.module
    with torch.no_grad():
        for theirs, ours in zip(
            outputs(parent, image, boxes), outputs(own, image, boxes), strict=True
        ):
            assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))
    rpn, generator = own.proposal_generator, parent.proposal_generator
    assert (rpn.nms_thresh, rpn.min_box_size) == (generator.nms_thresh, generator.min_box_size)
    for name in ("pre_nms_topk", "post_nms_topk"):
        assert getattr(rpn, name)[False] == getattr(generator, name)[False], name  # not in training
    ours, theirs = own.roi_heads.box_predictor, parent.roi_heads.box_predictor
    for name in ("test_score_thresh", "test_nms_thresh", "test_topk_per_image"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for mine, base in zip(
        rpn.anchor_generator.cell_anchors, generator.anchor_generator.cell_anchors, strict=True
    ):
        assert torch.allclose(mine, base)


def test_it_predicts(model):
    card = model.network.card
    assert (len(card.labels), card.category_ids[-1], card.metric) == (80, 90, "COCO")
    (resize,) = [each["ResizeByShort"] for each in card.transforms if "ResizeByShort" in each]
    assert resize == {"short_size": 800, "max_size": 1333}
    small = Compose([Normalize(), ResizeByShort(64, 96)])
    objects = model.predict(np.zeros((64, 96, 3), np.uint8), transforms=small)
    assert all(entry["category"] in COCO_LABELS for entry in objects)
    assert model._loaded_from == "COCO", "training would start from the same weights"


def test_weights_that_are_not_the_whole_network(parent, monkeypatch):
    state = {name: value for name, value in parent.state_dict().items() if "mask_head" not in name}
    source = WeightSource("half a file", state, CAFFE_BGR, COCO_LABELS)
    monkeypatch.setattr(published, "open_weights", lambda kind, backbone: source)
    with pytest.raises(ValueError, match="half a file is not the network it should be"):
        load_model("coco:ResNet50")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("coco:Resnet50", "did you mean 'ResNet50'"),
        ("coco:", "choose one of coco:ResNet18, coco:ResNet50, "),
        ("coco:ResNet50_vd_ssld", "choose one of coco:ResNet18, coco:ResNet50, "),
    ],
)
def test_names_of_no_published_model(name, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        load_model(name)
