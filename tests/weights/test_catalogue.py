"""The catalogue says what its publishers say, and each row's file fits the network it is for."""

import ast
from pathlib import Path

import detectron2
import pytest
import timm
import torch
from detectron2.config import get_cfg
from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES
from detectron2.modeling import build_model

from paddlex_maskrcnn.config.schema import BACKBONES, ModelParams
from paddlex_maskrcnn.inference.network import ModelCard, detectron2_cfg
from paddlex_maskrcnn.weights import catalogue
from paddlex_maskrcnn.weights.catalogue import COCO_LABELS, all_entries, find_entry, markdown_table

ROWS = list(all_entries())
ZOO = Path(detectron2.__file__).parent / "model_zoo"
ZOO_ROWS = [row for row in ROWS if row[3].name.startswith("Detectron2")]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_has_imagenet_weights(backbone):
    entry = find_entry(backbone, "IMAGENET")
    assert entry == find_entry(backbone, "IMAGENET", with_fpn=False)
    assert entry.input_format.channel_order == "RGB"
    assert entry.top1 > 69


def test_which_backbones_have_coco_weights():
    has = {(backbone, fpn) for backbone, kind, fpn, _ in ROWS if kind == "COCO"}
    nets = {(backbone, fpn) for backbone in BACKBONES for fpn in (True, False)}
    lacking = {("ResNet50_vd_ssld", True), ("ResNet50_vd_ssld", False), ("HRNet_W18", False)}
    assert has == nets - lacking


@pytest.mark.parametrize(
    ("backbone", "kind", "message"),
    [
        ("ResNet50_vd_ssld", "COCO", "there is: 'IMAGENET', a path to a weight file, or null"),
        (
            "ResNet50",
            "CITYSCAPES",
            "there is: 'IMAGENET', 'COCO', a path to a weight file, or null",
        ),
    ],
)
def test_what_is_lacking_is_told_with_what_there_is(backbone, kind, message):
    start = f"pretrain_weights is {kind!r}, but for backbone {backbone!r} {message}"
    with pytest.raises(ValueError, match=f"^{start}$"):
        find_entry(backbone, kind)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}-{row[2]}")
def test_a_row_says_all_that_it_can(row):
    """A hash is one that the file's own published name carries, never another."""
    _, kind, with_fpn, entry = row
    assert entry.url.startswith("https://")
    assert entry.licence
    published = entry.url.rpartition("/")[2]
    for prefix, length in ((entry.hash_prefix, 8), (entry.md5_prefix, 6)):
        assert not prefix or (len(prefix) == length and prefix in published)
    assert entry.verified == any(
        name in entry.name for name in ("torchvision", "resnet", "Detectron2")
    )
    assert (entry.top1 is not None) == (kind == "IMAGENET")
    assert entry.backbone_only == (kind == "COCO" and "PaddleX" in entry.name and not with_fpn)
    assert (entry.box_ap is not None) == (kind == "COCO" and not entry.backbone_only)
    assert bool(entry.measured) == (not entry.backbone_only)


def test_file_names_are_of_one_file_each():
    urls = {}
    for *_, entry in ROWS:
        assert urls.setdefault(entry.file_name, entry.url) == entry.url


def test_torchvision_s_own_metadata():
    entry = find_entry("ResNet50", "IMAGENET")
    assert entry.url.endswith(f"/resnet50-{entry.hash_prefix}.pth")
    assert entry.top1 == pytest.approx(76.13)


@pytest.mark.parametrize("backbone", ["ResNet50_vd", "ResNet101_vd", "HRNet_W18"])
def test_timm_s_own_configuration(backbone):
    entry = find_entry(backbone, "IMAGENET")
    config = timm.get_pretrained_cfg(entry.name.removeprefix("timm "))
    assert entry.licence.lower() == config.license
    assert config.url == entry.url or (not config.url and config.hf_hub_id in entry.url)
    scaled = [tuple(round(255 * v, 3) for v in values) for values in (config.mean, config.std)]
    assert scaled == [entry.input_format.pixel_mean, entry.input_format.pixel_std]


def zoo_table():
    """Detectron2's table of addresses, read from its source: the module itself cannot be imported."""
    tree = ast.parse((ZOO / "model_zoo.py").read_text())
    constants = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    table = ast.literal_eval(constants["CONFIG_PATH_TO_URL_SUFFIX"])
    return ast.literal_eval(constants["S3_PREFIX"]), table


def zoo_cfg(entry):
    cfg = get_cfg()
    cfg.merge_from_file(
        str(ZOO / "configs" / catalogue._ZOO_FOLDER / f"{entry.name.split()[1]}.yaml")
    )
    cfg.MODEL.DEVICE = "meta"
    return cfg


@pytest.mark.parametrize("row", ZOO_ROWS, ids=lambda row: f"{row[0]}-{row[2]}")
def test_detectron2_s_own_addresses_and_input(row):
    entry = row[3]
    prefix, table = zoo_table()
    name = f"COCO-InstanceSegmentation/{entry.name.split()[1]}"
    assert entry.url == f"{prefix}{name}/{table[name]}"
    cfg, form = zoo_cfg(entry), entry.input_format
    assert form.channel_order == cfg.INPUT.FORMAT
    assert list(form.pixel_mean) == cfg.MODEL.PIXEL_MEAN
    assert list(form.pixel_std) == cfg.MODEL.PIXEL_STD
    assert form.stride_in_1x1 == cfg.MODEL.RESNETS.STRIDE_IN_1X1


@pytest.mark.parametrize("row", ZOO_ROWS, ids=lambda row: f"{row[0]}-{row[2]}")
def test_detectron2_s_networks_are_ours(row):
    """Same parameters, same anchors, same pooling: the published AP holds for our network."""
    backbone, _, with_fpn, entry = row
    card = ModelCard(
        ModelParams(backbone=backbone, with_fpn=with_fpn),
        [str(number) for number in range(80)],
        list(range(80)),
        entry.input_format,
        pretrained=True,
    )
    ours, theirs = detectron2_cfg(card).clone(), zoo_cfg(entry)
    ours.defrost()
    ours.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        states = [build_model(cfg).state_dict() for cfg in (ours, theirs)]
    shapes = [{name: tuple(t.shape) for name, t in state.items()} for state in states]
    assert shapes[0] == shapes[1]
    flat = [str(cfg.MODEL.ANCHOR_GENERATOR).replace(".0", "") for cfg in (ours, theirs)]
    assert flat[0] == flat[1]
    for head in ("ROI_BOX_HEAD", "ROI_MASK_HEAD"):
        for key in ("POOLER_TYPE", "POOLER_RESOLUTION", "POOLER_SAMPLING_RATIO"):
            assert ours.MODEL[head][key] == theirs.MODEL[head][key]
    assert ours.MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS == theirs.MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS
    assert ours.MODEL.RPN.BBOX_REG_WEIGHTS == theirs.MODEL.RPN.BBOX_REG_WEIGHTS


def test_the_page_shows_the_catalogue():
    """docs/weights.md holds the table as it is made from the rows."""
    page = (Path(__file__).parents[2] / "docs" / "weights.md").read_text(encoding="utf-8")
    table = markdown_table()
    assert table in page, f"put this table into docs/weights.md:\n{table}"


def test_the_classes_of_coco_are_detectron2s():
    assert tuple(kind["name"] for kind in COCO_CATEGORIES if kind["isthing"]) == COCO_LABELS
