"""PaddleX's own parameter lists, all twelve, against the networks we build for them."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, GeneralizedRCNN
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.roi_heads import Res5ROIHeads, StandardROIHeads

from paddlex_maskrcnn.modeling import hrnet  # noqa: F401  (registers itself)
from paddlex_maskrcnn.modeling.resnet import build_res5_stage
from paddlex_maskrcnn.weights.keys.paddle import (
    convert_paddle,
    drop_background,
    map_paddle,
    map_paddle_hrnet,
    map_paddle_resnet,
    move_background_last,
)

# What the two networks do not share, as patterns of whole names of ours: `added` are in ours alone,
# `layout` in both, with other shapes or another order of rows.
DIFFERENCES = {
    "added": [r".*\.norm\.running_(mean|var)"],
    "layout": [
        r"roi_heads\.box_head\.fc[12]\.weight",
        r"roi_heads\.box_predictor\.cls_score\.(weight|bias)",
        r"roi_heads\.box_predictor\.bbox_pred\.(weight|bias)",
        r"roi_heads\.mask_head\.predictor\.(weight|bias)",
        r"proposal_generator\.rpn_head\.(objectness_logits|anchor_deltas)\.(weight|bias)",
    ],
}
LISTS = sorted((Path(__file__).parents[1] / "paddle_params").glob("*.tsv"))
NUM_CLASSES = 80
NUM_ANCHOR_SIZES = {True: 1, False: 5}  # on one map, with and without pyramid


class AnyDepthRes5ROIHeads(Res5ROIHeads):
    """Detectron2's heads without pyramid, for basic blocks and variant d as well."""

    @classmethod
    def _build_res5_block(cls, cfg):
        return build_res5_stage(cfg, 4 * cfg.MODEL.RESNETS.RES2_OUT_CHANNELS)


def build_cfg(name):
    """The cfg of a list's network, from its file name such as ResNet50_vd_fpn_dcn."""
    parts = name.split("_")
    has_pyramid, depth = "fpn" in parts, int(parts[0].removeprefix("ResNet").replace("HRNet", "0"))
    levels = ["p2", "p3", "p4", "p5"]
    cfg = get_cfg()
    model = cfg.MODEL
    model.MASK_ON, model.ROI_HEADS.NUM_CLASSES = True, NUM_CLASSES
    model.RESNETS.DEPTH, model.RESNETS.VARIANT = depth, "d" if "vd" in parts else "b"
    model.RESNETS.RES2_OUT_CHANNELS = 64 if depth == 18 else 256
    model.RESNETS.DEFORM_ON_PER_STAGE = [False] + ["dcn" in parts] * 3
    model.RESNETS.DEFORM_MODULATED, model.RESNETS.PROJECT_RES2 = True, depth == 18
    model.HRNET = CfgNode({"NORM": "FrozenBN"})
    model.BACKBONE.GRADIENT_CHECKPOINTING, model.BACKBONE.FREEZE_AT = False, 0
    model.BACKBONE.NAME = "build_resnet_variant_backbone"
    model.ROI_MASK_HEAD.NAME = "MaskRCNNConvUpsampleHead"
    if not has_pyramid:
        return cfg
    model.BACKBONE.NAME = (
        "build_resnet_variant_fpn_backbone" if depth else "build_hrnet_hrfpn_backbone"
    )
    model.RESNETS.OUT_FEATURES = model.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    model.RPN.IN_FEATURES, model.ROI_HEADS.IN_FEATURES = [*levels, "p6"], levels
    model.ANCHOR_GENERATOR.SIZES = [[32], [64], [128], [256], [512]]
    model.ROI_BOX_HEAD.NAME, model.ROI_BOX_HEAD.NUM_FC = "FastRCNNConvFCHead", 2
    model.ROI_BOX_HEAD.POOLER_RESOLUTION, model.ROI_MASK_HEAD.NUM_CONV = 7, 4
    return cfg


def build_model(name):
    """Without storage: only names and shapes matter here."""
    cfg = build_cfg(name)
    with torch.device("meta"):
        backbone = BACKBONE_REGISTRY.get(cfg.MODEL.BACKBONE.NAME)(cfg, ShapeSpec(channels=3))
        shapes = backbone.output_shape()
        heads = StandardROIHeads if "p2" in shapes else AnyDepthRes5ROIHeads
        return GeneralizedRCNN(
            backbone=backbone,
            proposal_generator=RPN(cfg, shapes),
            roi_heads=heads(cfg, shapes),
            pixel_mean=[0.0] * 3,
            pixel_std=[1.0] * 3,
        )


def read_shapes(path):
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    return {name: tuple(int(size) for size in shape.split("x")) for name, shape in rows}


def read_arrays(path):
    """Numbered along the first axes, constant along kernels, so that moved rows show."""
    arrays = {}
    for name, shape in read_shapes(path).items():
        numbers = np.arange(np.prod(shape[:2]), dtype=np.float32)
        arrays[name] = np.broadcast_to(numbers.reshape(shape[:2] + (1,) * len(shape[2:])), shape)
    return arrays


def differs(kind, name):
    return any(re.fullmatch(pattern, name) for pattern in DIFFERENCES[kind])


def test_all_lists_are_here():
    assert len(LISTS) == 12


@pytest.fixture(params=LISTS, ids=lambda path: path.stem, scope="module")
def network(request):
    """A list's path and our state dict for it."""
    return request.param, build_model(request.param.stem).state_dict()


def test_every_name_has_a_partner(network):
    path, state = network
    mapped = map_paddle(read_shapes(path))
    taken = [ours for ours in mapped.values() if ours is not None]
    assert len(set(taken)) == len(taken)
    for name, ours in mapped.items():
        assert ours in state, name
    for ours in set(state) - set(taken):
        assert differs("added", ours), ours


def test_every_array_fits(network):
    """After conversion nothing is missing and every shape is ours; unlisted layouts are kept."""
    path, state = network
    arrays = read_arrays(path)
    converted = convert_paddle(arrays, NUM_ANCHOR_SIZES["fpn" in path.stem])
    assert converted.keys() == state.keys()
    for name, tensor in state.items():
        assert converted[name].shape == tuple(tensor.shape), name
    for name, ours in map_paddle(arrays).items():
        if ours and not differs("layout", ours):
            np.testing.assert_array_equal(converted[ours], arrays[name], err_msg=ours)


def test_every_difference_occurs():
    """The list says nothing that is not so: each entry matches names that do differ."""
    differing = {"added": set(), "layout": set()}
    for name in ("ResNet18_c4", "ResNet18_fpn"):
        arrays = read_arrays(LISTS[0].with_name(f"{name}.tsv"))
        converted = convert_paddle(arrays, NUM_ANCHOR_SIZES["fpn" in name])
        mapped = map_paddle(arrays)
        differing["added"] |= set(converted) - set(mapped.values())
        differing["layout"] |= {
            ours
            for theirs, ours in mapped.items()
            if ours and not np.array_equal(converted[ours], arrays[theirs])
        }
    for kind, patterns in DIFFERENCES.items():
        for pattern in patterns:
            assert any(re.fullmatch(pattern, name) for name in differing[kind]), pattern


def test_other_models_are_refused():
    with pytest.raises(ValueError, match="'yolo_output_w' is no parameter"):
        map_paddle(["conv1_weights", "yolo_output_w"])


def test_fully_connected_weights_are_transposed():
    weight = np.arange(6.0).reshape(2, 3)
    turned = convert_paddle({"fc6_w": weight})["roi_heads.box_head.fc1.weight"]
    x = np.array([1.0, 10.0])
    np.testing.assert_array_equal(turned @ x, x @ weight)
    assert turned.flags["C_CONTIGUOUS"]


def test_background_moves_last():
    np.testing.assert_array_equal(move_background_last(np.array([9, 1, 2, 3])), [1, 2, 3, 9])


def test_background_is_dropped():
    rows = np.arange(12)
    np.testing.assert_array_equal(drop_background(rows, rows_per_class=4), rows[4:])
    np.testing.assert_array_equal(drop_background(rows[:3]), [1, 2])


def test_anchor_order():
    """Rows named (ratio, size, coordinate), ratio-major, come out size-major."""
    rows = [100 * r + 10 * s + c for r in range(3) for s in range(2) for c in range(4)]
    expected = [100 * r + 10 * s + c for s in range(2) for r in range(3) for c in range(4)]
    arrays = {"rpn_bbox_pred_b": np.array(rows), "rpn_cls_logits_b": np.array(rows[::4])}
    head = "proposal_generator.rpn_head"
    converted = convert_paddle(arrays, num_anchor_sizes=2)
    assert converted[f"{head}.anchor_deltas.bias"].tolist() == expected
    assert converted[f"{head}.objectness_logits.bias"].tolist() == expected[::4]
    assert convert_paddle(arrays)[f"{head}.anchor_deltas.bias"].tolist() == rows


@pytest.mark.parametrize(("name", "rows"), [("rpn_cls_logits_b", 15), ("rpn_bbox_pred_b", 60)])
def test_anchor_sizes_that_do_not_fit(name, rows):
    with pytest.raises(ValueError, match="num_anchor_sizes: 4 does not divide the 15 anchors"):
        convert_paddle({name: np.zeros(rows)}, num_anchor_sizes=4)


def test_scores_follow_their_class_names():
    """A box scored by both layouts gets the same number for each class."""
    weight = np.random.default_rng(0).normal(size=(5, 4))  # 5 features; background, a, b, c
    bias = np.array([0.0, 1, 2, 3])
    model = convert_paddle(
        {"cls_score_w": weight, "cls_score_b": bias, "res2a_branch2c_weights": weight}
    )
    x = np.ones(5)
    theirs = dict(zip(["background", "a", "b", "c"], x @ weight + bias, strict=True))
    prefix = "roi_heads.box_predictor.cls_score"
    scores = model[f"{prefix}.weight"] @ x + model[f"{prefix}.bias"]
    ours = dict(zip(["a", "b", "c", "background"], scores, strict=True))
    assert ours == pytest.approx(theirs)


def test_folded_statistics_become_identity():
    """Only where they are missing: mean 0 and variance 1 - epsilon leave the affine part alone."""
    arrays = {
        "bn2a_branch2c_scale": np.array([2.0]),
        "bn2a_branch2c_offset": np.array([3.0]),
        "bn2b_branch2c_scale": np.array([2.0]),
        "bn2b_branch2c_mean": np.array([7.0]),
        "bn2b_branch2c_variance": np.array([8.0]),
    }
    model = convert_paddle(arrays)
    norm = "backbone.res2.0.conv3.norm"
    assert model[f"{norm}.running_mean"] == 0
    assert model[f"{norm}.running_var"] + 1e-5 == pytest.approx(1)
    assert model["backbone.res2.1.conv3.norm.running_mean"] == 7
    assert model["backbone.res2.1.conv3.norm.running_var"] == 8


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("conv1_weights", "stem.conv1.weight"),
        ("bn_conv1_scale", "stem.conv1.norm.weight"),
        ("conv1_3_weights", "stem.conv3.weight"),
        ("bnv1_2_variance", "stem.conv2.norm.running_var"),
        ("res2a_branch1_weights", "res2.0.shortcut.weight"),
        ("bn2b_branch2a_offset", "res2.1.conv1.norm.bias"),
        ("res4b_branch2b_weights", "res4.1.conv2.weight"),
        ("res4b22_branch2b_weights", "res4.22.conv2.weight"),
        ("bn5c_branch2c_mean", "res5.2.conv3.norm.running_mean"),
        ("res3d_branch2b_conv_offset.w_0", "res3.3.conv2_offset.weight"),
        ("res4b10_branch2b_conv_offset.b_0", "res4.10.conv2_offset.bias"),
        ("fc_0.w_0", None),
    ],
)
def test_names_of_resnets(name, ours):
    assert map_paddle_resnet([name]) == {name: ours}


@pytest.mark.parametrize("name", ["res2a_branch2d_weights", "bn2a_branch1_momentum", "gcb_res3"])
def test_other_resnets_are_refused(name):
    with pytest.raises(ValueError, match=f"{name!r} is no parameter"):
        map_paddle_resnet([name])


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("layer1_2_weights", "stem.conv2.weight"),
        ("layer1_1_bn_variance", "stem.conv1.norm.running_var"),
        ("layer2_4_conv3_bn_scale", "stage1.3.conv3.norm.weight"),
        ("layer2_1_downsample_weights", "stage1.0.shortcut.weight"),
        ("tr1_layer_2_weights", "transition1.1.weight"),
        ("tr3_layer_4_bn_offset", "transition3.norm.bias"),
        ("st4_3_branch_layer_4_2_conv1_weights", "stage4.2.branches.3.1.conv1.weight"),
        ("st3_1_layer_1_3_bn_mean", "stage3.0.fuse.0.2.0.norm.running_mean"),
        ("st4_1_layer_4_1_3_weights", "stage4.0.fuse.3.0.2.weight"),
        ("cls_head_last_conv_weights", None),
        ("fc_offset", None),
    ],
)
def test_names_of_hrnet(name, ours):
    assert map_paddle_hrnet([name]) == {name: ours}


@pytest.mark.parametrize("name", ["layer3_1_weights", "st2_1_layer_1_2_bn_momentum", "conv1"])
def test_other_hrnets_are_refused(name):
    with pytest.raises(ValueError, match=f"{name!r} is no parameter"):
        map_paddle_hrnet([name])
