"""Weight files of every layout become Detectron2's names and the right input format."""

import pickle

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torchvision.models.detection import maskrcnn_resnet50_fpn

from paddlex_maskrcnn.weights import source
from paddlex_maskrcnn.weights.catalogue import COCO_LABELS, find_entry
from paddlex_maskrcnn.weights.download import FOLDER_VARIABLE
from paddlex_maskrcnn.weights.input_format import (
    CAFFE_BGR,
    IMAGENET_RGB,
    PADDLEX_RGB,
    TORCHVISION_RGB,
)
from paddlex_maskrcnn.weights.source import open_file, open_weights
from reference.paddle_format import write_folder
from support.untrained import LABELS, save_untrained


@pytest.fixture(scope="module")
def resnet18():
    return torchvision.models.resnet18().state_dict()


def one_of(shape):
    return np.ones(shape, np.float32)


def test_random_weights():
    assert open_weights(None, "ResNet18") is None


def test_torchvision_file(resnet18, tmp_path):
    torch.save(resnet18, tmp_path / "r18.pth")
    weights = open_weights(str(tmp_path / "r18.pth"), "ResNet18")
    assert weights.input_format == IMAGENET_RGB
    assert torch.equal(weights.state["res5.1.conv2.weight"], resnet18["layer4.1.conv2.weight"])


@pytest.mark.parametrize("wrap", ["state_dict", "model", "module"])
def test_files_of_training_loops(resnet18, tmp_path, wrap):
    """With other things beside the weights, and with the prefix of distributed training."""
    if wrap == "module":
        content = {f"module.{name}": tensor for name, tensor in resnet18.items()}
    else:
        content = {wrap: resnet18, "epoch": 3, "optimizer": {"lr": 0.1}}
    torch.save(content, tmp_path / "r18.pt")
    weights = open_file(tmp_path / "r18.pt")
    assert torch.equal(weights.state["stem.conv1.weight"], resnet18["conv1.weight"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_all_become_float32(tmp_path, dtype):
    save_file({"layer1.0.conv1.weight": torch.ones(2, 2, dtype=dtype)}, tmp_path / "r.safetensors")
    assert open_file(tmp_path / "r.safetensors").state["res2.0.conv1.weight"].dtype == torch.float32


def test_timm_hrnet_is_not_taken_for_a_resnet(tmp_path):
    state = timm.create_model("hrnet_w18", pretrained=False).state_dict()
    save_file(state, tmp_path / "hrnet.safetensors")
    weights = open_file(tmp_path / "hrnet.safetensors")
    assert weights.input_format == IMAGENET_RGB
    assert torch.equal(weights.state["stage1.0.conv1.weight"], state["layer1.0.conv1.weight"])


def test_torchvision_detector(tmp_path):
    """Tensors of no size but the right names: what is read is the layout."""
    with torch.device("meta"):
        names = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
    torch.save({name: torch.zeros(91) for name in names}, tmp_path / "mask.pth")
    weights = open_file(tmp_path / "mask.pth")
    assert weights.input_format == TORCHVISION_RGB
    assert len(weights.state["roi_heads.box_predictor.cls_score.bias"]) == 81


@pytest.mark.parametrize(
    ("author", "form"),
    [("MSRA", CAFFE_BGR), ("torchvision", IMAGENET_RGB), ("Detectron2 Model Zoo", CAFFE_BGR)],
)
def test_detectron2_pickle(tmp_path, author, form):
    content = {"model": {"stem.conv1.weight": one_of(2).astype(np.float16)}, "__author__": author}
    (tmp_path / "r50.pkl").write_bytes(pickle.dumps(content))
    weights = open_file(tmp_path / "r50.pkl")
    assert weights.input_format == form
    assert weights.state["stem.conv1.weight"].dtype == torch.float32


@pytest.mark.parametrize("inside", [True, False])
def test_caffe2_pickle(tmp_path, inside):
    """Folded statistics become identity; what Detectron's solver left is dropped."""
    blobs = {
        "conv1_w": one_of((4, 3, 7, 7)),
        "res_conv1_bn_s": one_of(4),
        "res_conv1_bn_b": one_of(4),
    }
    blobs |= {"conv1_w_momentum": one_of(4), "pred_w": one_of(4), "fc6_w": one_of(1)}
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps({"blobs": blobs} if inside else blobs, 2))
    weights = open_file(tmp_path / "R-50.pkl")
    assert weights.input_format == CAFFE_BGR
    statistics = {"stem.conv1.norm.running_mean", "stem.conv1.norm.running_var"}
    ours = {"stem.conv1.weight", "stem.conv1.norm.weight", "stem.conv1.norm.bias"}
    assert weights.state.keys() == ours | statistics | {"pred_w", "fc6_w"}
    assert weights.state["stem.conv1.norm.running_var"][0] + 1e-5 == pytest.approx(1)


def test_caffe2_networks_with_group_norm_have_no_statistics_and_stride_in_3x3(tmp_path):
    blobs = {"conv1_w": one_of((4, 3, 7, 7)), "conv1_gn_s": one_of(4), "conv1_gn_b": one_of(4)}
    (tmp_path / "R-50-GN.pkl").write_bytes(pickle.dumps(blobs, 2))
    weights = open_file(tmp_path / "R-50-GN.pkl")
    assert not weights.input_format.stride_in_1x1
    assert not weights.input_format.scaled
    assert not any("running" in name for name in weights.state)


PADDLE_BACKBONE = {
    "conv1_weights": one_of((4, 3, 7, 7)),
    "bn_conv1_scale": one_of(4),
    "res2a_branch2c_weights": one_of((2, 2, 1, 1)),
    "fc_0.w_0": one_of((2, 2)),
}


def test_paddle_backbone(tmp_path):
    weights = open_file(write_folder(tmp_path / "ResNet50_cos_pretrained", PADDLE_BACKBONE))
    assert weights.input_format == IMAGENET_RGB
    assert weights.state["backbone.res2.0.conv3.weight"].shape == (2, 2, 1, 1)
    assert "fc_0.w_0" in weights.state, "reported as unused"


@pytest.mark.parametrize(
    ("more", "less"),
    [({"rpn_cls_logits_b": one_of(15)}, ()), ({}, ("res2a_branch2c_weights",))],
    ids=["detector", "ResNet18"],
)
def test_paddle_files_that_need_paddlex_s_own_network(tmp_path, more, less):
    arrays = PADDLE_BACKBONE | {"res2a_branch1_weights": one_of((2, 2, 1, 1))} | more
    arrays = {name: array for name, array in arrays.items() if name not in less}
    assert open_file(write_folder(tmp_path / "model", arrays)).input_format == PADDLEX_RGB


def test_paddle_anchors_without_a_pyramid_are_put_into_our_order(tmp_path):
    """PaddleX: ratio by ratio, each with its five sizes; here size by size."""
    logits = np.array([10 * ratio + size for ratio in range(3) for size in range(5)], np.float32)
    folder = write_folder(tmp_path / "c4", PADDLE_BACKBONE | {"rpn_cls_logits_b": logits})
    weights = open_file(folder).state["proposal_generator.rpn_head.objectness_logits.bias"]
    assert weights.tolist() == [10 * ratio + size for size in range(5) for ratio in range(3)]


def test_a_kind_is_taken_from_the_catalogue(monkeypatch, tmp_path):
    """With the row's name and input format; COCO weights depend on the pyramid."""
    fetched = []

    def fetch(entry):
        fetched.append(entry)
        content = {"model": {"backbone.res2.0.conv1.weight": one_of(1)}, "__author__": ""}
        (tmp_path / "zoo.pkl").write_bytes(pickle.dumps(content))
        return tmp_path / "zoo.pkl"

    monkeypatch.setattr(source, "fetch", fetch)
    weights = open_weights("COCO", "ResNet50", with_fpn=False)
    assert fetched == [find_entry("ResNet50", "COCO", with_fpn=False)]
    assert weights.name == "Detectron2 mask_rcnn_R_50_C4_3x"
    assert weights.input_format == CAFFE_BGR
    assert weights.labels == COCO_LABELS


def test_the_catalogue_s_file_is_verified(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / find_entry("ResNet18", "IMAGENET").file_name).write_bytes(b"half a file")
    with pytest.raises(ValueError, match="damaged"):
        open_weights("IMAGENET", "ResNet18")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.pkl", pickle.dumps([1, 2]), "holds list, not names and tensors"),
        (
            "x.pkl",
            pickle.dumps({"a": np.zeros(1)}),
            r"layout that is not known \(it begins with a\)",
        ),
        ("x.pth", b"not a torch file", "cannot be read as a weight file"),
        ("x.safetensors", b"neither", "cannot be read as a weight file"),
        ("x.pdparams", b"nor", "is refused: it is damaged"),
    ],
)
def test_files_that_are_no_weights(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        open_weights(str(tmp_path / name), "ResNet18")


def test_nothing_there():
    with pytest.raises(
        ValueError, match="neither IMAGENET nor COCO nor a file or saved model that exists"
    ):
        open_weights("IMAGNET", "ResNet18")


def test_a_saved_model_s_file_has_the_names_of_the_card_beside_it(tmp_path):
    directory = save_untrained(tmp_path / "model")
    weights = open_weights(str(directory / "model.pth"), "ResNet18")
    assert weights.labels == tuple(LABELS)
