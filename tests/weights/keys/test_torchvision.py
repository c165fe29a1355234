"""torchvision's own Mask R-CNN against a Detectron2 one: all names, and the order of classes.

Whole ResNets are covered by modeling/test_published_networks.py.
"""

import numpy as np
import pytest
import torch
import torchvision
from torchvision.models.detection import (
    MaskRCNN_ResNet50_FPN_Weights,
    maskrcnn_resnet50_fpn,
    maskrcnn_resnet50_fpn_v2,
)

from paddlex_maskrcnn.config.schema import ModelParams
from paddlex_maskrcnn.inference.network import ModelCard, detectron2_cfg
from paddlex_maskrcnn.weights.input_format import TORCHVISION_RGB
from paddlex_maskrcnn.weights.keys.torchvision import (
    convert_torchvision_maskrcnn,
    map_torchvision_maskrcnn,
    map_torchvision_resnet,
)

CATEGORIES = MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
NAMES = [name for name in CATEGORIES if name not in ("__background__", "N/A")]


def torchvision_state(build=maskrcnn_resnet50_fpn, num_classes=91):
    """Names and shapes; without storage, since those alone matter here."""
    with torch.device("meta"):
        return build(weights=None, weights_backbone=None, num_classes=num_classes).state_dict()


def as_arrays(state):
    """Zeros without memory of their own."""
    return {name: np.broadcast_to(np.float32(0), tuple(t.shape)) for name, t in state.items()}


def our_shapes(num_classes):
    from detectron2.modeling import build_model

    labels = [str(number) for number in range(num_classes)]
    card = ModelCard(ModelParams(), labels, list(range(num_classes)), TORCHVISION_RGB, True)
    cfg = detectron2_cfg(card).clone()
    cfg.defrost()
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        return {name: tuple(t.shape) for name, t in build_model(cfg).state_dict().items()}


@pytest.mark.parametrize(("theirs", "ours"), [(91, 80), (4, 3)])
def test_every_parameter_has_its_place_and_shape(theirs, ours):
    arrays = as_arrays(torchvision_state(num_classes=theirs))
    converted = {name: array.shape for name, array in convert_torchvision_maskrcnn(arrays).items()}
    assert converted == our_shapes(ours)
    dropped = [name for name, ours in map_torchvision_maskrcnn(arrays).items() if ours is None]
    assert all(name.endswith("num_batches_tracked") for name in dropped)


def test_names_of_the_published_file():
    """It was saved before torchvision 0.13, whose names of four modules were shorter."""
    renamed = {
        "backbone.fpn.inner_blocks.2.weight": "backbone.fpn.inner_blocks.2.0.weight",
        "backbone.fpn.layer_blocks.0.bias": "backbone.fpn.layer_blocks.0.0.bias",
        "rpn.head.conv.weight": "rpn.head.conv.0.0.weight",
        "roi_heads.mask_head.mask_fcn3.weight": "roi_heads.mask_head.2.0.weight",
    }
    for old, new in renamed.items():
        assert map_torchvision_maskrcnn([old])[old] == map_torchvision_maskrcnn([new])[new]
    assert set(renamed.values()) <= set(torchvision_state())


def test_rows_follow_their_class_names():
    """Row i of torchvision's scores is its category i; ours are COCO's 80 in order, background last."""
    rows = np.arange(91, dtype=np.float32)
    arrays = {
        "roi_heads.box_predictor.cls_score.bias": rows,
        "roi_heads.box_predictor.bbox_pred.bias": np.repeat(rows, 4),
        "roi_heads.mask_predictor.mask_fcn_logits.bias": rows,
    }
    converted = convert_torchvision_maskrcnn(arrays)
    scores = converted["roi_heads.box_predictor.cls_score.bias"]
    assert [CATEGORIES[int(row)] for row in scores] == [*NAMES, "__background__"]
    boxes = converted["roi_heads.box_predictor.bbox_pred.bias"].reshape(80, 4)
    assert [CATEGORIES[int(row)] for row in boxes[:, 0]] == NAMES
    assert (boxes == boxes[:, :1]).all()
    masks = converted["roi_heads.mask_head.predictor.bias"]
    assert [CATEGORIES[int(row)] for row in masks] == NAMES


def test_norms_have_the_epsilon_of_the_published_weights():
    """torchvision sets it to 0 for them; in a norm with 1e-5 the same variance does the same."""
    variance = torch.tensor([0.5, 2e-5])
    name = "backbone.body.bn1.running_var"
    ours = convert_torchvision_maskrcnn({name: variance.numpy()})[
        "backbone.bottom_up.stem.conv1.norm.running_var"
    ]
    frozen = torchvision.ops.FrozenBatchNorm2d(2, eps=0.0)
    frozen.running_var = variance
    x = torch.ones(1, 2, 1, 1)
    outputs = torch.nn.functional.batch_norm(
        x, torch.zeros(2), torch.from_numpy(ours), eps=1e-5, training=False
    )
    torch.testing.assert_close(outputs, frozen(x))


def test_the_second_version_is_another_network():
    with pytest.raises(ValueError, match="is no parameter of torchvision's maskrcnn_resnet50_fpn"):
        map_torchvision_maskrcnn(torchvision_state(maskrcnn_resnet50_fpn_v2))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["conv1.weight", "bn1.running_mean"],
            ["stem.conv1.weight", "stem.conv1.norm.running_mean"],
        ),
        (
            ["conv1.0.weight", "conv1.4.bias", "conv1.6.weight", "bn1.weight"],
            [
                "stem.conv1.weight",
                "stem.conv2.norm.bias",
                "stem.conv3.weight",
                "stem.conv3.norm.weight",
            ],
        ),
        (
            ["layer1.2.conv3.weight", "layer4.0.bn2.running_var"],
            ["res2.2.conv3.weight", "res5.0.conv2.norm.running_var"],
        ),
        (
            ["layer2.0.downsample.0.weight", "layer2.0.downsample.1.weight"],
            ["res3.0.shortcut.weight", "res3.0.shortcut.norm.weight"],
        ),
        (
            ["layer2.0.downsample.1.weight", "layer2.0.downsample.2.weight"],
            ["res3.0.shortcut.weight", "res3.0.shortcut.norm.weight"],
        ),
        (["fc.weight", "fc.bias", "bn1.num_batches_tracked"], [None, None, None]),
    ],
    ids=["stem", "deep stem", "blocks", "shortcut", "pooled shortcut", "dropped"],
)
def test_names_of_resnets(names, expected):
    assert map_torchvision_resnet(names) == dict(zip(names, expected, strict=True))


@pytest.mark.parametrize("name", ["patch_embed.weight", "layer1.0.se.fc1.weight", "head.fc.weight"])
def test_other_resnets_are_refused(name):
    with pytest.raises(ValueError, match=f"{name!r} is no parameter"):
        map_torchvision_resnet(["conv1.weight", name])
