"""Images with another number of channels than three, from file to prediction."""

import cv2
import numpy as np
import pytest
import torch
import torchvision

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.det import transforms

SMALL = {
    "num_classes": 3,
    "backbone": "ResNet18",
    "anchor_sizes": [8, 16, 32, 64, 128],
    "fpn_num_channels": 16,
    "rcnn_batch_size_per_im": 8,
    "train_post_nms_top_n": 50,
    "test_post_nms_top_n": 50,
    "score_threshold": 0.0,
}


def recipe(channels: int) -> transforms.Compose:
    normalize = transforms.Normalize(mean=[0.4] * channels, std=[0.3] * channels)
    return transforms.Compose([normalize, transforms.ResizeByShort(48, 80)])


def write_images(tiny_coco, channels: int, suffix: str) -> None:
    """The pictures of the data set again, each channel a different mixture of the colours."""
    for image in tiny_coco.content["images"]:
        pixels = cv2.imread(str(tiny_coco.data_dir / image["file_name"]))
        mixture = np.linspace(0.2, 1.0, channels)
        mixed = (pixels.mean(axis=2)[..., None] * mixture).astype(np.uint8)
        image["file_name"] = f"{image['id']}.{suffix}"
        path = tiny_coco.data_dir / image["file_name"]
        if suffix == "npy":
            np.save(path, mixed)
        elif suffix == "tiff" and channels not in (1, 3, 4):
            cv2.imwritemulti(str(path), list(np.moveaxis(mixed, 2, 0)))
        else:
            cv2.imwrite(str(path), mixed)
    tiny_coco.save()


@pytest.fixture(scope="module")
def resnet18_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18().state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("channels", "suffix"),
    [
        (1, "png"),
        pytest.param(2, "npy", marks=pytest.mark.long),
        pytest.param(4, "png", marks=pytest.mark.long),
        pytest.param(4, "npy", marks=pytest.mark.long),
        pytest.param(5, "tiff", marks=pytest.mark.long),
        pytest.param(6, "npy", marks=pytest.mark.long),
    ],
)
def test_train_and_predict(tiny_coco, tmp_path, resnet18_file, channels, suffix):
    write_images(tiny_coco, channels, suffix)
    data = tiny_coco.open(transforms=recipe(channels))
    model = pdx.det.MaskRCNN(input_channel=channels, **SMALL)
    model.train(
        1, data, 2, data, pretrain_weights=str(resnet18_file), warmup_steps=0,
        learning_rate=1e-4, save_dir=str(tmp_path / "run"),
    )  # fmt: skip
    stem = model.network.module.backbone.bottom_up.stem.conv1.weight
    assert stem.shape[1] == channels
    pretrained = torch.load(resnet18_file)["conv1.weight"]
    assert torch.allclose(stem.sum(dim=1), pretrained.sum(dim=1), atol=1e-4) or channels in (
        2,
        4,
        5,
    )
    found = model.predict(data.records[0]["file_name"])
    assert found
    again = pdx.load_model(tmp_path / "run" / "epoch_1").predict(data.records[0]["file_name"])
    assert [one["score"] for one in found] == [one["score"] for one in again]


def test_statistics_must_have_as_many_entries(tiny_coco, tmp_path):
    write_images(tiny_coco, 4, "png")
    model = pdx.det.MaskRCNN(input_channel=4, **SMALL)
    with pytest.raises(ValueError, match="Normalize has 2 entries, but input_channel is 4"):
        model.train(1, tiny_coco.open(transforms=recipe(2)), pretrain_weights=None, warmup_steps=0)
    standard = transforms.Compose([transforms.Normalize(), transforms.ResizeByShort(48, 80)])
    with pytest.raises(ValueError, match="give Normalize mean and std with 4 entries"):
        model.train(1, tiny_coco.open(transforms=standard), pretrain_weights=None, warmup_steps=0)


def test_a_file_with_other_channels_is_named(tiny_coco, tmp_path):
    """The pictures have three channels, the model wants six."""
    model = pdx.det.MaskRCNN(input_channel=6, **SMALL)
    with pytest.raises(ValueError, match=r"\.png"):
        model.train(
            1, tiny_coco.open(transforms=recipe(6)), pretrain_weights=None, warmup_steps=0,
            save_dir=str(tmp_path / "run"),
        )  # fmt: skip
