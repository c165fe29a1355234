"""PaddleX's own parameter lists, all twelve, against the networks we build for them."""

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
from paddlex_maskrcnn.weights.keys.paddle_arrays import convert
from paddlex_maskrcnn.weights.keys.paddle_maskrcnn import KNOWN_DIFFERENCES, to_detectron2

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


def is_known(side, name):
    return any(known.side == side and known.covers(name) for known in KNOWN_DIFFERENCES)


def test_all_lists_are_here():
    assert len(LISTS) == 12


@pytest.fixture(params=LISTS, ids=lambda path: path.stem, scope="module")
def network(request):
    """A list's path and our state dict for it."""
    return request.param, build_model(request.param.stem).state_dict()


def test_every_name_has_a_partner(network):
    path, state = network
    mapped = to_detectron2(read_shapes(path))
    taken = [ours for ours in mapped.values() if ours is not None]
    assert len(set(taken)) == len(taken)
    for name, ours in mapped.items():
        assert ours in state or is_known("paddle", name), name
    for ours in set(state) - set(taken):
        assert is_known("detectron2", ours), ours


def test_every_array_fits(network):
    """After conversion nothing is missing and every shape is ours; unlisted layouts are kept."""
    path, state = network
    arrays = read_arrays(path)
    converted = convert(arrays, NUM_ANCHOR_SIZES["fpn" in path.stem])
    assert converted.keys() == state.keys()
    for name, tensor in state.items():
        assert converted[name].shape == tuple(tensor.shape), name
    for name, ours in to_detectron2(arrays).items():
        if ours and not is_known("layout", ours):
            np.testing.assert_array_equal(converted[ours], arrays[name], err_msg=ours)


def test_every_known_difference_occurs():
    """The list says nothing that is not so: each entry matches names that do differ."""
    used = set()
    for path in LISTS:
        if path.stem not in ("ResNet18_c4", "ResNet18_fpn"):
            continue
        arrays = read_arrays(path)
        converted = convert(arrays, NUM_ANCHOR_SIZES["fpn" in path.stem])
        mapped = to_detectron2(arrays)
        state = build_model(path.stem).state_dict()
        differing = {"paddle": [name for name, ours in mapped.items() if ours not in state]}
        differing["detectron2"] = sorted(set(converted) - set(mapped.values()))
        differing["layout"] = [
            ours
            for name, ours in mapped.items()
            if ours and not np.array_equal(converted[ours], arrays[name])
        ]
        for known in KNOWN_DIFFERENCES:
            if any(known.covers(name) for name in differing[known.side]):
                used.add(known)
    assert used == set(KNOWN_DIFFERENCES)


def test_other_models_are_refused():
    with pytest.raises(ValueError, match="'yolo_output_w' is no parameter"):
        to_detectron2(["conv1_weights", "yolo_output_w"])
