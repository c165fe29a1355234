"""Weight files of every layout become Detectron2's names and the right input format."""

import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
import torchvision
from detectron2.config import get_cfg
from detectron2.modeling import build_backbone

from paddlex_maskrcnn.weights.cache import FOLDER_VARIABLE
from paddlex_maskrcnn.weights.catalogue import find_entry
from paddlex_maskrcnn.weights.input_format import CAFFE_BGR, IMAGENET_RGB
from paddlex_maskrcnn.weights.loading import adapt_stem, load_weights
from paddlex_maskrcnn.weights.source import WeightSource, open_weights


class Detector(torch.nn.Module):
    """A ResNet18 where detectors keep it."""

    def __init__(self):
        super().__init__()
        cfg = get_cfg()
        cfg.MODEL.RESNETS.DEPTH, cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 18, 64
        cfg.MODEL.RESNETS.OUT_FEATURES = ["res5"]
        self.backbone = torch.nn.Module()
        self.backbone.bottom_up = build_backbone(cfg)
        self.head = torch.nn.Linear(2, 3)


@pytest.fixture(scope="module")
def resnet18():
    return torchvision.models.resnet18()


@pytest.fixture
def detectron2_pickle(tmp_path):
    """A backbone in Detectron2's layout, half precision, as its own converters write it."""

    def write(author):
        state = Detector().backbone.bottom_up.state_dict()
        arrays = {name: value.numpy().astype(np.float16) for name, value in state.items()}
        path = tmp_path / "backbone.pkl"
        path.write_bytes(pickle.dumps({"model": arrays, "__author__": author}))
        return path, state

    return write


def test_torchvision_file(resnet18, tmp_path):
    path = tmp_path / "r18.pth"
    torch.save(resnet18.state_dict(), path)
    source = open_weights(str(path), "ResNet18")
    assert source.input_format == IMAGENET_RGB
    detector = Detector()
    report = load_weights(detector, source)
    assert set(report.unused) == {
        "fc.weight",
        "fc.bias",
        *[n for n in source.state if "tracked" in n],
    }
    assert set(report.missing) == {"head.weight", "head.bias"}
    loaded = detector.backbone.bottom_up.stem.conv1.weight
    assert torch.equal(loaded, resnet18.conv1.weight)


@pytest.mark.parametrize(
    ("author", "form"), [("MSRA", CAFFE_BGR), ("torchvision", IMAGENET_RGB), ("Caffe2", CAFFE_BGR)]
)
def test_detectron2_pickle(detectron2_pickle, author, form):
    path, state = detectron2_pickle(author)
    source = open_weights(str(path), "ResNet18")
    assert source.input_format == form
    assert source.state["stem.conv1.weight"].dtype == torch.float32
    assert load_weights(Detector(), source).missing == ["head.weight", "head.bias"]
    expected = state["res5.1.conv2.weight"].half().float()
    assert torch.equal(source.state["res5.1.conv2.weight"], expected)


def test_a_file_that_does_not_say_its_input_format_is_refused(detectron2_pickle):
    with pytest.raises(ValueError, match="does not say how its images must look"):
        open_weights(str(detectron2_pickle("somebody")[0]), "ResNet18")


def test_half_a_backbone_is_refused(resnet18):
    state = {"stem.conv1.weight": resnet18.conv1.weight.detach()}
    with pytest.raises(ValueError, match=r"no weights for backbone\.bottom_up.*and .* more"):
        load_weights(Detector(), WeightSource("half.pth", state, IMAGENET_RGB))


def test_weights_of_another_depth_are_refused(tmp_path):
    path = tmp_path / "r34.pth"
    torch.save(torchvision.models.resnet34().state_dict(), path)
    before = Detector()
    report = load_weights(before, open_weights(str(path), "ResNet18"))
    assert any(name.startswith("res2.2") for name in report.unused), "deeper ones fit, and say so"
    path50 = tmp_path / "r50.pth"
    torch.save(torchvision.models.resnet50().state_dict(), path50)
    with pytest.raises(ValueError, match="does not fit the backbone"):
        load_weights(Detector(), open_weights(str(path50), "ResNet18"))


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('the bomb went off')",))


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    path = tmp_path / "bomb.pkl"
    path.write_bytes(pickle.dumps({"model": Bomb()}))
    with pytest.raises(ValueError, match=r"refused: .* it wants to run builtins\.exec"):
        open_weights(str(path), "ResNet18")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.pkl", b"", "is refused"),
        ("x.pkl", pickle.dumps([1, 2]), "holds list, not names and tensors"),
        ("x.pkl", pickle.dumps({"a": np.zeros(1)}), "layout that is not known"),
        ("x.pth", b"not a torch file", "cannot be read as a torch weight file"),
        (
            "x.pkl",
            pickle.dumps(OrderedDict(model={"stem.conv1.weight": np.zeros(1)})),
            "does not say",
        ),
    ],
)
def test_files_that_are_no_weights(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        open_weights(str(tmp_path / name), "ResNet18")


def test_catalogue_takes_torchvision_s_own_metadata():
    entry = find_entry("ResNet50", "IMAGENET")
    assert entry.url.endswith(entry.file_name)
    assert entry.file_name == f"resnet50-{entry.hash_prefix}.pth"
    assert entry.top1 == pytest.approx(76.13)


def test_what_the_catalogue_lacks_is_told():
    with pytest.raises(ValueError, match="pretrain_weights is 'COCO', but for backbone 'ResNet50'"):
        find_entry("ResNet50", "COCO")


def test_a_file_put_there_by_hand_is_verified(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / find_entry("ResNet18", "IMAGENET").file_name).write_bytes(b"half a file")
    with pytest.raises(ValueError, match="is damaged: its sha256 begins with"):
        open_weights("IMAGENET", "ResNet18")


def test_a_download_that_fails_says_what_to_do(tmp_path, monkeypatch):
    def fails(*_, **__):
        raise OSError("no route")

    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "new"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fails)
    with pytest.raises(
        ValueError, match=r"could not be downloaded \(no route\).*put it into .*new"
    ):
        open_weights("IMAGENET", "ResNet18")


def test_a_grey_image_gives_the_same_response_with_any_number_of_channels():
    weight = torch.randn(4, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    grey = torch.randn(1, 1, 20, 20, generator=torch.Generator().manual_seed(1))
    expected = torch.conv2d(grey.expand(1, 3, 20, 20), weight)
    for channels in (1, 3, 6):
        found = torch.conv2d(grey.expand(1, channels, 20, 20), adapt_stem(weight, channels))
        assert torch.allclose(found, expected, atol=1e-5)
    assert adapt_stem(weight, 4).shape == (4, 4, 7, 7)
